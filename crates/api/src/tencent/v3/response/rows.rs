//! Lists of peerings of which the rows are kept.

use std::io::Write;

use model::Outcome;
use model::outcome::{Page, PeeringView};

use super::peering::PeerConnection;
use super::{object, render};
use crate::tencent::rows::{KeptRows, ROW_BYTES};
use crate::tencent::v3::action::Action;
use crate::tencent::v3::field::Arguments;

/// Renders outcomes like [`render`], and remembers the rows of peerings.
pub struct Rows(KeptRows);

impl Default for Rows {
    fn default() -> Self {
        Rows(KeptRows::new(|view| object(&PeerConnection::from(view))))
    }
}

impl Rows {
    /// The body of the answer to a request that succeeded, byte for byte that of [`render`].
    pub fn render(
        &self,
        action: &Action,
        arguments: &Arguments,
        outcome: &Outcome,
        request_id: &str,
    ) -> Vec<u8> {
        match outcome {
            Outcome::Peerings(page) => self.list(page, request_id),
            other => render(action, arguments, other, request_id),
        }
    }

    fn list(&self, page: &Page<PeeringView>, request_id: &str) -> Vec<u8> {
        let mut body = Vec::with_capacity(ROW_BYTES * (page.items.len() + 1));
        write!(
            body,
            r#"{{"Response":{{"TotalCount":{},"PeerConnectionSet":["#,
            page.total
        )
        .expect("writing to a vector cannot fail");
        self.0.append(&page.items, &mut body);
        write!(body, r#"],"RequestId":"{request_id}"}}}}"#)
            .expect("writing to a vector cannot fail");
        body
    }
}
