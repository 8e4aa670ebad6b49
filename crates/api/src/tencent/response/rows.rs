//! Lists of peerings of which the rows are kept.

use std::io::Write;

use model::Outcome;
use model::outcome::{Page, PeeringView};

use super::peering::PeeringBody;
use super::render;
use crate::tencent::rows::{KeptRows, ROW_BYTES};

/// Renders outcomes like [`render`], and remembers the rows of peerings.
pub struct Rows(KeptRows);

impl Default for Rows {
    fn default() -> Self {
        Rows(KeptRows::new(|view| {
            let json = serde_json::to_vec(&PeeringBody::from(view));
            json.expect("only strings and numbers are written")
        }))
    }
}

impl Rows {
    /// The body of the answer to a request that succeeded, byte for byte that of [`render`].
    pub fn render(&self, outcome: &Outcome) -> Vec<u8> {
        match outcome {
            Outcome::Peerings(page) => self.list(page),
            other => render(other),
        }
    }

    fn list(&self, page: &Page<PeeringView>) -> Vec<u8> {
        let mut body = Vec::with_capacity(ROW_BYTES * (page.items.len() + 1));
        write!(
            body,
            r#"{{"code":0,"message":"","codeDesc":"Success","totalCount":{},"data":["#,
            page.total
        )
        .expect("writing to a vector cannot fail");
        self.0.append(&page.items, &mut body);
        body.extend_from_slice(b"]}");
        body
    }
}
