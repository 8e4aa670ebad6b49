//! Names and numbers that no edition of the vendor's documents gives. They are in one place so that
//! a document found later changes one line; `docs/compatibility.md` lists them.

/// The symbolic code for a party to a peering that has the wrong role, or for a peering in the wrong
/// state. The legacy API has no code for either.
pub const PEERING_STATE_ERROR: &str = "InvalidPeeringConnection.StateError";

/// The symbolic code for a task that the caller does not have.
pub const TASK_NOT_FOUND: &str = "InvalidTaskId.NotFound";

/// The number for a peering that is stopped because its payment is overdue; documented states end
/// at 5.
pub const STATE_ISOLATED: u8 = 6;

/// `data.output.errorCode` of a failed task: the common code for an operation on a resource that
/// failed. The documents give no number.
pub const TASK_FAILED: i32 = 5100;

/// The symbolic code for a route table that cannot be deleted, because it is the default one or in
/// use. The page of the action has none.
pub const ROUTE_TABLE_CANNOT_DELETE: &str = "InvalidRouteTableId.CannotDelete";

/// The symbolic code for a route that a table does not have. Routes have no ids in the legacy API, so
/// nothing there can ask for one.
pub const ROUTE_NOT_FOUND: &str = "InvalidRoute.NotFound";

/// The symbolic code of a request that was only tried out, as API 3.0 names it; code 5100.
pub const DRY_RUN: &str = "DryRunOperation";
