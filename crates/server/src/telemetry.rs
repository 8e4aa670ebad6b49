//! What `/metrics` tells, in the Prometheus text format.
//!
//! Calls are counted as they are answered. Everything else is read from the catalog, the sessions
//! and the store at the moment of the question, so that series of what is gone go as well.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Key, Label, Level, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use model::{GatewayId, PeeringConnectionId, Side};
use store::SqliteStore;

use crate::catalog::Catalog;
use crate::core::Core;
use crate::history::History;
use crate::sync::{Session, Sessions};

/// The bounds of the latency histogram, in seconds.
const LATENCY_BUCKETS: [f64; 13] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

const METADATA: Metadata<'static> = Metadata::new("server", Level::INFO, None);

const STATES: [&str; 7] = [
    "pending", "active", "expired", "rejected", "failed", "isolated", "deleted",
];

/// The counters of one server. Several servers of one process do not share any.
pub struct Telemetry {
    recorder: PrometheusRecorder,
    store: Arc<SqliteStore>,
}

impl Telemetry {
    /// Starts counting; the store's own counts are told as well.
    pub fn new(store: Arc<SqliteStore>) -> Telemetry {
        let builder = PrometheusBuilder::new()
            .set_buckets(&LATENCY_BUCKETS)
            .expect("there are buckets");
        let recorder = builder.build_recorder();
        for (name, unit, text) in [
            (
                "peerway_api_requests_total",
                None,
                "Calls of the API by action and code.",
            ),
            (
                "peerway_api_request_seconds",
                Some(Unit::Seconds),
                "How long the answers to calls took.",
            ),
            (
                "peerway_api_repetitions_total",
                None,
                "Repetitions that were given their first answer, by action.",
            ),
        ] {
            let text = SharedString::const_str(text);
            if unit.is_some() {
                recorder.describe_histogram(name.into(), unit, text);
            } else {
                recorder.describe_counter(name.into(), unit, text);
            }
        }
        Telemetry { recorder, store }
    }

    /// Counts an answered call.
    pub fn request(&self, action: &'static str, code: impl std::fmt::Display, took: Duration) {
        let action = Label::from_static_parts("action", action);
        let code = Label::new("code", code.to_string());
        let counted = Key::from_parts("peerway_api_requests_total", vec![action.clone(), code]);
        self.recorder
            .register_counter(&counted, &METADATA)
            .increment(1);
        let timed = Key::from_parts("peerway_api_request_seconds", vec![action]);
        self.recorder
            .register_histogram(&timed, &METADATA)
            .record(took.as_secs_f64());
    }

    /// Counts a repetition that was given its first answer.
    pub fn repetition(&self, action: &'static str) {
        let action = Label::from_static_parts("action", action);
        let counted = Key::from_parts("peerway_api_repetitions_total", vec![action]);
        self.recorder
            .register_counter(&counted, &METADATA)
            .increment(1);
    }

    /// Folds the measured times into their buckets. To be called every few seconds: they are kept
    /// one by one until then.
    pub fn fold(&self) {
        self.recorder.handle().run_upkeep();
    }

    /// The text for a scrape.
    pub fn render(&self, core: &Core, sessions: &Sessions) -> String {
        let now = Snapshot(PrometheusBuilder::new().build_recorder());
        let catalog = core.catalog();
        now.state(&catalog);
        now.store(&self.store);
        now.history(core.history());
        for (id, session) in sessions.all() {
            now.gateway(&catalog, id, &session);
        }
        let mut text = self.recorder.handle().render();
        text.push_str(&now.0.handle().render());
        text
    }
}

/// The series that are read at the moment of a scrape.
struct Snapshot(PrometheusRecorder);

impl Snapshot {
    fn state(&self, catalog: &Catalog) {
        self.gauge(
            "peerway_catalog_revision",
            "The revision of the state.",
            vec![],
        )
        .set(catalog.revision().0 as f64);
        self.gauge(
            "peerway_tasks_running",
            "Tasks that have not ended.",
            vec![],
        )
        .set(catalog.running_tasks().count() as f64);
        self.gauge(
            "peerway_tombstones",
            "Ended peerings whose removal is not confirmed.",
            vec![],
        )
        .set(catalog.tombstones().count() as f64);
        for state in STATES {
            let labels = vec![Label::from_static_parts("state", state)];
            let peerings = catalog
                .peerings()
                .filter(|peering| peering.state.name() == state);
            self.gauge("peerway_peerings", "Peerings by state.", labels)
                .set(peerings.count() as f64);
        }
    }

    fn store(&self, store: &SqliteStore) {
        let stats = store.stats();
        for (name, text, value) in [
            (
                "peerway_store_commits_total",
                "Committed transactions.",
                stats.transactions,
            ),
            (
                "peerway_store_conflicts_total",
                "Transactions refused because something they were based on had changed.",
                stats.conflicts,
            ),
            (
                "peerway_store_syncs_total",
                "Groups of transactions, each made durable by one sync of the log.",
                stats.batches,
            ),
        ] {
            self.counter(name, text, vec![]).absolute(value);
        }
        self.gauge(
            "peerway_store_largest_group",
            "The most transactions made durable together.",
            vec![],
        )
        .set(stats.largest_batch as f64);
        for (name, text, value) in [
            (
                "peerway_answers_remembered",
                "First answers that are remembered for repetitions.",
                stats.answers,
            ),
            (
                "peerway_answers_remembered_bytes",
                "The bytes of these answers.",
                stats.answer_bytes,
            ),
        ] {
            self.gauge(name, text, vec![]).set(value as f64);
        }
    }

    fn history(&self, history: &History) {
        let size = history.size();
        for (name, text, value) in [
            (
                "peerway_history_points",
                "Stored points: minutes of sides of peerings in which anything passed.",
                size.points,
            ),
            (
                "peerway_history_bytes",
                "The size of the file of the points, without its log.",
                size.bytes,
            ),
            (
                "peerway_history_max_bytes",
                "The size at which the oldest points go.",
                size.max_bytes,
            ),
        ] {
            self.gauge(name, text, vec![]).set(value as f64);
        }
    }

    fn gateway(&self, catalog: &Catalog, id: GatewayId, session: &Session) {
        use model::World as _;

        let region = catalog
            .gateway(id)
            .map_or("none", |gateway| gateway.region.short());
        let labels = vec![
            Label::new("gateway", id.to_string()),
            Label::from_static_parts("region", region),
        ];
        let connected = if session.is_connected() { 1.0 } else { 0.0 };
        self.gauge(
            "peerway_gateway_connected",
            "Whether the gateway's stream is open.",
            labels.clone(),
        )
        .set(connected);
        self.gauge(
            "peerway_gateway_generation",
            "The generation that the gateway runs.",
            labels.clone(),
        )
        .set(session.applied().0 as f64);
        self.gauge(
            "peerway_gateway_clock_skew_seconds",
            "The gateway's clock minus the server's.",
            labels,
        )
        .set(session.clock_skew_millis as f64 / 1000.0);
        let Some(report) = session.report() else {
            return;
        };
        for ((peering, side), entry) in &report.peerings {
            let labels = side_labels(region, *peering, *side);
            for (direction, traffic) in [("sent", entry.sent), ("received", entry.received)] {
                let mut labels = labels.clone();
                labels.push(Label::from_static_parts("direction", direction));
                self.counter("peerway_peering_packets_total", PACKETS, labels.clone())
                    .absolute(traffic.packets);
                self.counter("peerway_peering_bytes_total", BYTES, labels)
                    .absolute(traffic.bytes);
            }
            for (cause, count) in &entry.drops {
                let mut labels = labels.clone();
                labels.push(Label::new("cause", cause.clone()));
                self.counter("peerway_peering_drops_total", DROPS, labels)
                    .absolute(*count);
            }
        }
    }

    fn gauge(&self, name: &'static str, text: &'static str, labels: Vec<Label>) -> metrics::Gauge {
        self.0
            .describe_gauge(name.into(), None, SharedString::const_str(text));
        self.0
            .register_gauge(&Key::from_parts(name, labels), &METADATA)
    }

    fn counter(
        &self,
        name: &'static str,
        text: &'static str,
        labels: Vec<Label>,
    ) -> metrics::Counter {
        self.0
            .describe_counter(name.into(), None, SharedString::const_str(text));
        self.0
            .register_counter(&Key::from_parts(name, labels), &METADATA)
    }
}

const PACKETS: &str = "Tenants' IP packets, at the gateway of a region.";
const BYTES: &str = "Tenants' IP bytes, at the gateway of a region.";
const DROPS: &str = "Dropped packets by cause, at the gateway of a region.";

fn side_labels(region: &'static str, peering: PeeringConnectionId, side: Side) -> Vec<Label> {
    let side = match side {
        Side::Requester => "requester",
        Side::Accepter => "accepter",
    };
    vec![
        Label::from_static_parts("region", region),
        Label::new("peering", peering.to_string()),
        Label::from_static_parts("side", side),
    ]
}
