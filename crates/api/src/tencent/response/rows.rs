//! Rendered rows of the list of peerings, kept for the next one who asks.
//!
//! Rendering is most of what a list costs, and peerings are read far more often than they change.
//! A row belongs to one value of a record: a record that changed is another value, so nothing has
//! to be told when that happens.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, PoisonError, RwLock};

use model::outcome::{Page, PeeringView};
use model::{Outcome, PeeringConnectionId};

use super::peering::PeeringBody;
use super::render;

/// Rows that are kept, of some 700 bytes each. When there are more, all are forgotten.
const MOST_ROWS: usize = 32_768;

/// Room for a row, so that a body is written without moving it.
const ROW_BYTES: usize = 640;

/// Renders outcomes like [`render`], and remembers the rows of peerings.
#[derive(Default)]
pub struct Rows {
    rows: RwLock<HashMap<PeeringConnectionId, Row>>,
}

/// What a row was rendered from, and the row.
struct Row {
    view: PeeringView,
    json: Box<[u8]>,
}

impl Row {
    fn new(view: &PeeringView) -> Row {
        let json = serde_json::to_vec(&PeeringBody::from(view));
        Row {
            view: view.clone(),
            json: json.expect("only strings and numbers are written").into(),
        }
    }

    fn is_of(&self, view: &PeeringView) -> bool {
        Arc::ptr_eq(&self.view.peering, &view.peering)
            && self.view.requester_app_id == view.requester_app_id
            && self.view.accepter_app_id == view.accepter_app_id
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
        let mut missing = Vec::new();
        {
            let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
            for (position, view) in page.items.iter().enumerate() {
                if position > 0 {
                    body.push(b',');
                }
                match rows.get(&view.peering.id).filter(|row| row.is_of(view)) {
                    Some(row) => body.extend_from_slice(&row.json),
                    None => {
                        let row = Row::new(view);
                        body.extend_from_slice(&row.json);
                        missing.push(row);
                    }
                }
            }
        }
        if !missing.is_empty() {
            self.keep(missing);
        }
        body.extend_from_slice(b"]}");
        body
    }

    fn keep(&self, missing: Vec<Row>) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        if rows.len() + missing.len() > MOST_ROWS {
            rows.clear();
        }
        rows.extend(missing.into_iter().map(|row| (row.view.peering.id, row)));
    }
}
