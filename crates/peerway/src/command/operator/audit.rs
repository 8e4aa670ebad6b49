//! `peerway audit`.

use std::time::Duration;

use serde_json::Value;
use server::admin::AuditFilter;
use time::OffsetDateTime;

use super::client;
use crate::cli::AuditArgs;
use crate::command::stop_signal;
use crate::output::{print_json, print_line};

/// How often a follower asks for what is new.
const FOLLOW_PERIOD: Duration = Duration::from_millis(500);

/// `peerway audit`.
///
/// # Errors
/// What the server refused, or that it could not be reached.
pub async fn audit(args: AuditArgs) -> anyhow::Result<()> {
    let client = client(&args.admin);
    let now = OffsetDateTime::now_utc();
    let mut filter = AuditFilter {
        uin: args.uin,
        action: args.action,
        since_millis: args.since.map(|moment| moment.millis(now)),
        until_millis: args.until.map(|moment| moment.millis(now)),
        limit: Some(args.limit),
        after: None,
    };
    let first = client.audit(&filter).await?;
    if !args.follow && args.admin.json {
        return print_json(&first.entries);
    }
    let print = |entries: &[Value]| {
        for entry in entries {
            match args.admin.json {
                true => print_line(entry),
                false => print_line(line(entry)),
            }
        }
    };
    print(&first.entries);
    if !args.follow {
        return Ok(());
    }
    let stop = stop_signal()?;
    tokio::pin!(stop);
    filter.limit = None;
    filter.after = Some(first.next);
    loop {
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = tokio::time::sleep(FOLLOW_PERIOD) => {}
        }
        let page = client.audit(&filter).await?;
        print(&page.entries);
        filter.after = Some(page.next);
    }
}

/// An entry as one line for people.
fn line(entry: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let who = &entry["who"];
    let who = match (&who["operator"], &who["uin"], &who["sub_account"]) {
        (Value::Number(uid), ..) => format!("operator (user {uid})"),
        (_, Value::Number(uin), Value::Number(sub_account)) => format!("{uin}/{sub_account}"),
        (_, Value::Number(uin), _) => uin.to_string(),
        _ => "server".to_owned(),
    };
    let named: Vec<String> = entry["named"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    let mut line = format!(
        "{}  {who}  {}  {}",
        text(&entry["time"]),
        text(&entry["action"]),
        named.join(" ")
    );
    let result = &entry["result"];
    if let Some(code) = result["code"].as_i64() {
        line.push_str(&format!("  => {code} {}", text(&result["code_desc"])));
    }
    if let Some(task) = result["task"].as_u64() {
        line.push_str(&format!(" task {task}"));
    }
    for id in result["ids"].as_array().into_iter().flatten() {
        line.push_str(&format!(" {}", text(id)));
    }
    if let Some(message) = result["message"].as_str() {
        line.push_str(&format!(": {message}"));
    }
    if let Some(missing) = entry["missing"].as_u64() {
        line.push_str(&format!("{missing} entries could not be written"));
    }
    if entry["repeated"] == true {
        line.push_str(" (repeated)");
    }
    if let Some(from) = entry["from"].as_str() {
        line.push_str(&format!("  from {from}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_is_one_line() {
        let entry = json!({
            "time": "2027-01-15T08:00:00.124Z",
            "who": {"uin": 7, "sub_account": 8, "secret_id": "AKIDone"},
            "action": "CreateVpcPeeringConnectionEx",
            "named": {"peerRegion": "sh", "vpcId": "gz_vpc_226"},
            "from": "192.0.2.1:4711",
            "result": {"code": 0, "code_desc": "Success", "task": 9, "ids": ["pcx-6gw5wy11"]},
            "repeated": true,
        });
        assert_eq!(
            line(&entry),
            "2027-01-15T08:00:00.124Z  7/8  CreateVpcPeeringConnectionEx  \
             peerRegion=sh vpcId=gz_vpc_226  => 0 Success task 9 pcx-6gw5wy11 (repeated)  \
             from 192.0.2.1:4711"
        );
    }
}
