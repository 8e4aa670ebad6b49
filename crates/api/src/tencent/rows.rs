//! Rendered rows of lists of peerings, kept for the next one who asks.
//!
//! Rendering is most of what a list costs, and peerings are read far more often than they change.
//! A row belongs to one value of a record: a record that changed is another value, so nothing has
//! to be told when that happens.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use model::PeeringConnectionId;
use model::outcome::PeeringView;

/// Rows that are kept, of some 700 bytes each. When there are more, all are forgotten.
const MOST_ROWS: usize = 32_768;

/// Room for a row, so that a body is written without moving it.
pub(super) const ROW_BYTES: usize = 640;

/// The rows of one dialect.
pub(super) struct KeptRows {
    render: fn(&PeeringView) -> Vec<u8>,
    rows: RwLock<HashMap<PeeringConnectionId, Row>>,
}

/// What a row was rendered from, and the row.
struct Row {
    view: PeeringView,
    json: Box<[u8]>,
}

impl Row {
    fn is_of(&self, view: &PeeringView) -> bool {
        Arc::ptr_eq(&self.view.peering, &view.peering)
            && self.view.requester_app_id == view.requester_app_id
            && self.view.accepter_app_id == view.accepter_app_id
            && self.shows_tags_of(view)
    }
}

impl Row {
    // Each account sees its own tags of a peering, and nothing else depends on who looks.
    fn shows_tags_of(&self, view: &PeeringView) -> bool {
        let shown = self.view.peering.tags_of(self.view.viewer);
        shown == view.peering.tags_of(view.viewer)
    }
}

impl KeptRows {
    /// No rows yet. Everything that a row shows has to follow from its view.
    pub(super) fn new(render: fn(&PeeringView) -> Vec<u8>) -> KeptRows {
        KeptRows {
            render,
            rows: RwLock::default(),
        }
    }

    /// Writes the rows of a page, with commas between them.
    pub(super) fn append(&self, views: &[PeeringView], body: &mut Vec<u8>) {
        let mut missing = Vec::new();
        {
            let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
            for (position, view) in views.iter().enumerate() {
                if position > 0 {
                    body.push(b',');
                }
                match rows.get(&view.peering.id).filter(|row| row.is_of(view)) {
                    Some(row) => body.extend_from_slice(&row.json),
                    None => {
                        let json = (self.render)(view);
                        body.extend_from_slice(&json);
                        missing.push(Row {
                            view: view.clone(),
                            json: json.into(),
                        });
                    }
                }
            }
        }
        if !missing.is_empty() {
            self.keep(missing);
        }
    }

    fn keep(&self, missing: Vec<Row>) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        if rows.len() + missing.len() > MOST_ROWS {
            rows.clear();
        }
        rows.extend(missing.into_iter().map(|row| (row.view.peering.id, row)));
    }
}
