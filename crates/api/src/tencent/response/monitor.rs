//! What was measured.

use model::monitor::MonitorData;
use serde::Serialize;

use super::super::monitor::values;
use super::local_time;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MonitorBody {
    metric_name: &'static str,
    start_time: String,
    end_time: String,
    period: u32,
    data_points: Vec<f64>,
}

impl From<&MonitorData> for MonitorBody {
    fn from(data: &MonitorData) -> Self {
        MonitorBody {
            metric_name: data.query.metric_name,
            start_time: local_time(data.window.start),
            end_time: local_time(data.window.end),
            period: data.query.period.secs(),
            data_points: values(data),
        }
    }
}
