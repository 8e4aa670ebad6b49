use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use model::UnixMillis;
use serde_json::Value;
use tempfile::TempDir;

use super::log::{numbers, path};
use super::*;
use crate::clock::FakeClock;

const NOW: UnixMillis = UnixMillis(1_800_000_000_123);

fn entry(number: u64) -> Entry {
    Entry {
        time: rfc3339(UnixMillis(NOW.0 + i64::try_from(number).unwrap())),
        who: Who::Caller {
            uin: number % 2 + 1,
            sub_account: (number % 2 == 1).then_some(77),
            secret_id: "AKIDone".to_owned(),
        },
        action: if number.is_multiple_of(3) {
            "CreateVpc"
        } else {
            "DeleteVpc"
        }
        .to_owned(),
        named: BTreeMap::from([("vpcId".to_owned(), format!("gz_vpc_{number}"))]),
        from: "192.0.2.1:4711".to_owned(),
        result: Ending::success(),
        repeated: false,
    }
}

fn open(folder: &TempDir, max_bytes: u64) -> Audit {
    let clock = Arc::new(FakeClock::at(NOW));
    Audit::open(folder.path(), max_bytes, clock).unwrap()
}

fn written(folder: &TempDir) -> Vec<String> {
    let mut lines = Vec::new();
    for number in numbers(folder.path()).unwrap() {
        let text = fs::read_to_string(path(folder.path(), number)).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        lines.extend(text.lines().map(str::to_owned));
    }
    lines
}

fn numbers_of(page: &Page) -> Vec<u64> {
    let number = |entry: &Value| {
        let id = entry["named"]["vpcId"].as_str().unwrap();
        id.strip_prefix("gz_vpc_").unwrap().parse().unwrap()
    };
    page.entries.iter().map(number).collect()
}

#[tokio::test]
async fn an_entry_is_one_line_in_a_file_for_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(&folder, SMALLEST_BOUND);
    let refused = Entry {
        who: Who::Operator { operator: 0 },
        action: "key.disable".to_owned(),
        from: "admin-socket".to_owned(),
        result: Ending {
            code: 400,
            code_desc: "Refused".to_owned(),
            message: "there is no access key".to_owned(),
            task: Some(7),
            ids: vec!["pcx-6gw5wy11".to_owned()],
        },
        repeated: true,
        ..entry(1)
    };
    audit.record(&entry(1)).await;
    audit.record(&refused).await;
    // Both are there before anything is closed or synced.
    assert_eq!(
        written(&folder),
        [
            concat!(
                r#"{"time":"2027-01-15T08:00:00.124Z","who":{"uin":2,"sub_account":77,"#,
                r#""secret_id":"AKIDone"},"action":"DeleteVpc","named":{"vpcId":"gz_vpc_1"},"#,
                r#""from":"192.0.2.1:4711","result":{"code":0,"code_desc":"Success"}}"#
            ),
            concat!(
                r#"{"time":"2027-01-15T08:00:00.124Z","who":{"operator":0},"action":"key.disable","#,
                r#""named":{"vpcId":"gz_vpc_1"},"from":"admin-socket","result":{"code":400,"#,
                r#""code_desc":"Refused","message":"there is no access key","task":7,"#,
                r#""ids":["pcx-6gw5wy11"]},"repeated":true}"#
            ),
        ]
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path(folder.path(), 1)), 0o600);
    assert_eq!((audit.stats().written(), audit.stats().lost()), (2, 0));
}

#[test]
fn only_known_parameters_are_repeated_and_not_in_full() {
    let long = "x".repeat(1000);
    let parameters = [
        ("vpcId", "gz_vpc_226"),
        ("Region", "gz"),
        ("routeSet.0.nextHub", "pcx-6gw5wy11"),
        ("routeSet_1_nextHub", "pcx-6gw5wy12"),
        ("subnetId.0", "gz_subnet_1"),
        ("peerUin", &long),
        ("Signature", "c2VjcmV0"),
        ("SecretId", "AKIDone"),
        ("Token", "token"),
        ("secretKey", "secret"),
        ("vpcName", "anything"),
        ("subnetId", ""),
    ];
    let found = named(parameters.into_iter());
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "Region",
            "peerUin",
            "routeSet.0.nextHub",
            "routeSet_1_nextHub",
            "subnetId.0",
            "vpcId"
        ]
    );
    assert_eq!(found["peerUin"].len(), 64);
    let many: Vec<String> = (0..100).map(|at| format!("subnetId.{at}")).collect();
    let found = named(many.iter().map(|name| (name.as_str(), "gz_subnet_1")));
    assert_eq!(found.len(), 24);
}

#[tokio::test]
async fn the_files_are_rotated_and_bounded_and_the_oldest_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(&folder, SMALLEST_BOUND);
    let mut count = 0;
    let size = || -> u64 {
        let numbers = numbers(folder.path()).unwrap();
        let sizes = numbers
            .iter()
            .map(|number| fs::metadata(path(folder.path(), *number)).unwrap().len());
        sizes.sum()
    };
    while numbers(folder.path())
        .unwrap()
        .first()
        .is_none_or(|first| *first < 4)
    {
        let entries: Vec<Entry> = (count..count + 100).map(entry).collect();
        futures::future::join_all(entries.iter().map(|entry| audit.record(entry))).await;
        count += 100;
        assert!(size() <= SMALLEST_BOUND, "{}", size());
        assert_eq!(audit.stats().bytes(), size());
        assert!(count < 100_000, "nothing is ever removed");
    }
    // What is left is the end, without a gap. The order inside of one round is nobody's promise.
    let query = AuditQuery {
        limit: usize::MAX,
        ..AuditQuery::default()
    };
    let mut left = numbers_of(&read(folder.path(), &query).unwrap());
    left.sort_unstable();
    let whole_rounds = left[0].next_multiple_of(100);
    left.retain(|number| *number >= whole_rounds);
    assert!(whole_rounds > 0 && whole_rounds < count);
    assert!(left.into_iter().eq(whole_rounds..count), "a gap");
}

#[tokio::test]
async fn a_line_that_a_dead_process_did_not_finish_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(&folder, SMALLEST_BOUND);
    audit.record(&entry(1)).await;
    audit.close().await;
    let file = path(folder.path(), 1);
    let mut text = fs::read_to_string(&file).unwrap();
    // Longer than the pieces that the end is looked for in.
    text.push_str(&format!("{{\"time\":\"{}", "x".repeat(200_000)));
    fs::write(&file, text).unwrap();

    let audit = open(&folder, SMALLEST_BOUND);
    audit.record(&entry(2)).await;
    let query = AuditQuery {
        limit: 10,
        ..AuditQuery::default()
    };
    assert_eq!(numbers_of(&read(folder.path(), &query).unwrap()), [1, 2]);
    assert_eq!(written(&folder).len(), 2);
}

#[tokio::test]
async fn a_full_disk_is_counted_and_confessed() {
    let folder = tempfile::tempdir().unwrap();
    symlink("/dev/full", path(folder.path(), 1)).unwrap();
    let audit = open(&folder, SMALLEST_BOUND);
    let begun = Instant::now();
    for number in 0..3 {
        audit.record(&entry(number)).await;
    }
    assert!(
        begun.elapsed() < WAIT,
        "a call waits for a disk that refuses"
    );
    assert_eq!((audit.stats().written(), audit.stats().lost()), (0, 3));

    let other = tempfile::tempdir().unwrap();
    let mut writer = Writer {
        log: Log::open(folder.path(), SMALLEST_BOUND).unwrap(),
        clock: Arc::new(FakeClock::at(NOW)),
        stats: Arc::default(),
        missing: 0,
        complained: None,
    };
    let put = |writer: &mut Writer, number| {
        let mut batch = Batch::default();
        serde_json::to_writer(&mut batch.lines, &entry(number)).unwrap();
        batch.lines.push(b'\n');
        batch.waiting.push(oneshot::channel().0);
        writer.write(&mut batch);
    };
    put(&mut writer, 1);
    put(&mut writer, 2);
    writer.log = Log::open(other.path(), SMALLEST_BOUND).unwrap();
    put(&mut writer, 3);
    put(&mut writer, 4);
    let lines = written(&other);
    assert_eq!(lines.len(), 3, "{lines:?}");
    let gap = r#"{"time":"2027-01-15T08:00:00.123Z","who":{"server":true},"action":"audit.gap","missing":2}"#;
    assert_eq!(lines[0], gap);
}

#[tokio::test]
async fn entries_are_found_by_account_action_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(&folder, SMALLEST_BOUND);
    for number in 0..12 {
        audit.record(&entry(number)).await;
    }
    let at = |number: i64| Some(rfc3339(UnixMillis(NOW.0 + number)));
    let all = AuditQuery {
        limit: 100,
        ..AuditQuery::default()
    };
    let find = |query: &AuditQuery| numbers_of(&read(folder.path(), query).unwrap());
    let check =
        |query: AuditQuery, expected: &[u64]| assert_eq!(find(&query), expected, "{query:?}");
    check(
        AuditQuery {
            uin: Some(1),
            ..all.clone()
        },
        &[0, 2, 4, 6, 8, 10],
    );
    check(
        AuditQuery {
            uin: Some(77),
            ..all.clone()
        },
        &[1, 3, 5, 7, 9, 11],
    );
    check(
        AuditQuery {
            uin: Some(5),
            ..all.clone()
        },
        &[],
    );
    for action in ["CreateVpc", "createvpc", "Create*"] {
        let action = Some(action.to_owned());
        check(
            AuditQuery {
                action,
                ..all.clone()
            },
            &[0, 3, 6, 9],
        );
    }
    check(
        AuditQuery {
            action: Some("Create".to_owned()),
            ..all.clone()
        },
        &[],
    );
    check(
        AuditQuery {
            since: at(10),
            ..all.clone()
        },
        &[10, 11],
    );
    check(
        AuditQuery {
            until: at(2),
            ..all.clone()
        },
        &[0, 1],
    );
    check(
        AuditQuery {
            since: at(3),
            until: at(6),
            uin: Some(1),
            ..all.clone()
        },
        &[4],
    );
    check(
        AuditQuery {
            limit: 2,
            ..all.clone()
        },
        &[10, 11],
    );
    check(AuditQuery { limit: 0, ..all }, &[]);
}

#[tokio::test]
async fn whoever_follows_sees_every_entry_once_across_rotations() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(&folder, SMALLEST_BOUND);
    let first = AuditQuery {
        limit: 10,
        ..AuditQuery::default()
    };
    let mut position = read(folder.path(), &first).unwrap().next;
    let mut seen = Vec::new();
    for round in 0..20 {
        for number in round * 50..(round + 1) * 50 {
            audit.record(&entry(number)).await;
        }
        loop {
            let query = AuditQuery {
                limit: 7,
                after: Some(position),
                ..AuditQuery::default()
            };
            let page = read(folder.path(), &query).unwrap();
            position = page.next.to_string().parse().unwrap();
            seen.extend(numbers_of(&page));
            if page.entries.is_empty() {
                break;
            }
        }
    }
    assert_eq!(seen, (0..1000).collect::<Vec<u64>>());
    assert!(
        numbers(folder.path()).unwrap().len() > 1,
        "nothing was rotated"
    );
    for text in ["", "1", "1:", "a:1", "-1:1"] {
        assert!(text.parse::<Position>().is_err(), "{text}");
    }
}
