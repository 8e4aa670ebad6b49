//! A server with its state in a temporary folder, and what tests need around it.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::{Region, UnixMillis};
use serde_json::Value;
use server::admin::{self, TokenRequest};
use server::clock::FakeClock;
use server::config::ServerConfig;
use server::core::Core;
use server::sync::Sessions;
use server::{Dataplane, Rate, RunError};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::{Caller, Client};
use crate::double::Double;

/// How long anything awaited may take; far more than it takes on a busy machine.
pub const BOUND: Duration = Duration::from_secs(20);

pub const SECRET_ID: &str = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA";
pub const SECRET_KEY: &str = "Gu5t9xGARNpq86cd98joQYCN3Cozk1qA";
pub const OTHER_SECRET_ID: &str = "AKIDother";
pub const OTHER_SECRET_KEY: &str = "anothersecretkey";

/// Two accounts; the first has two VPCs in gz and one in sh, the other one in sh.
pub const SEED: &str = r#"
[[account]]
uin = 2407912486
app_id = 1351000042
name = "first"
[[account.key]]
secret_id = "AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA"
secret_key = "Gu5t9xGARNpq86cd98joQYCN3Cozk1qA"
[[account.vpc]]
id = "gz_vpc_226"
name = "web"
cidr = "10.226.0.0/16"
[[account.vpc]]
id = "gz_vpc_89"
name = "data"
cidr = "10.89.0.0/16"
[[account.vpc]]
id = "sh_vpc_7"
name = "far"
cidr = "10.7.0.0/16"

[[account]]
uin = 1000000002
name = "second"
[[account.key]]
secret_id = "AKIDother"
secret_key = "anothersecretkey"
[[account.vpc]]
id = "sh_vpc_8"
name = "theirs"
cidr = "10.8.0.0/16"
"#;

/// The time at which servers with a clock of their own start.
pub const START: UnixMillis = UnixMillis(1_800_000_000_000);

/// A server and its state.
pub struct Bed {
    pub folder: TempDir,
    pub clock: Arc<FakeClock>,
    pub dataplane: Dataplane,
    /// Changes the configuration; counts from the next start of the server.
    pub configure: fn(&mut ServerConfig),
    running: Option<Running>,
}

struct Running {
    https: SocketAddr,
    http: Option<SocketAddr>,
    sync: SocketAddr,
    core: Arc<Core>,
    sessions: Arc<Sessions>,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Result<(), RunError>>,
}

impl Bed {
    /// A started server that was given nothing but a seed.
    pub async fn start(dataplane: Dataplane) -> Bed {
        Bed::start_with(dataplane, |_| {}).await
    }

    /// The same with something configured.
    pub async fn start_with(dataplane: Dataplane, configure: fn(&mut ServerConfig)) -> Bed {
        let mut bed = Bed {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(FakeClock::at(START)),
            dataplane,
            configure,
            running: None,
        };
        std::fs::write(bed.path("seed.toml"), SEED).unwrap();
        bed.run().await;
        bed
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn config(&self) -> ServerConfig {
        let mut config = ServerConfig {
            seed_file: Some(self.path("seed.toml")),
            admin_socket: self.path("admin.sock"),
            http: Some(([127, 0, 0, 1], 0).into()),
            dataplane: self.dataplane,
            // The clock stands still, and tests poll.
            rate_limit: Rate::UNLIMITED,
            ..ServerConfig::local(self.path("state"))
        };
        (self.configure)(&mut config);
        config
    }

    /// Starts the server on the state that is there.
    pub async fn run(&mut self) {
        assert!(self.running.is_none(), "the server runs");
        let clock = Arc::clone(&self.clock);
        let server = server::build_with_clock(self.config(), clock)
            .await
            .unwrap();
        let (stop, stopped) = oneshot::channel();
        self.running = Some(Running {
            https: server.https_address().unwrap(),
            http: server.http_address(),
            sync: server.sync_address(),
            core: Arc::clone(server.core()),
            sessions: Arc::clone(server.sessions()),
            stop,
            ended: tokio::spawn(server.run(async move {
                let _ = stopped.await;
            })),
        });
    }

    /// Stops the server in order; its state is closed when this returns.
    pub async fn stop(&mut self) {
        let Running {
            core,
            sessions,
            stop,
            ended,
            ..
        } = self.running.take().unwrap();
        drop((core, sessions));
        stop.send(()).unwrap();
        let ended = tokio::time::timeout(BOUND, ended).await.unwrap();
        ended.unwrap().unwrap();
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub fn core(&self) -> &Arc<Core> {
        &self.running().core
    }

    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.running().sessions
    }

    pub fn https(&self) -> SocketAddr {
        self.running().https
    }

    pub fn http(&self) -> SocketAddr {
        self.running().http.unwrap()
    }

    pub fn sync(&self) -> SocketAddr {
        self.running().sync
    }

    pub fn admin(&self) -> admin::Client {
        admin::Client::new(&self.path("admin.sock"))
    }

    /// An API client that trusts the server's CA.
    pub fn client(&self) -> Client {
        Client::new(self.https(), &self.path("state/ca.pem"))
    }

    /// Calls as the first account and expects success.
    pub async fn call(&self, region: &str, action: &str, parameters: &[(&str, &str)]) -> Value {
        self.call_as(&first(), region, action, parameters).await
    }

    /// Calls and expects success.
    pub async fn call_as(
        &self,
        caller: &Caller,
        region: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> Value {
        let now = self.clock_secs();
        let answer = self
            .client()
            .call(caller, now, region, action, parameters)
            .await;
        assert_eq!(answer["code"], 0, "{action}: {answer}");
        answer
    }

    pub fn clock_secs(&self) -> i64 {
        use server::clock::Clock as _;
        self.clock.now().secs()
    }

    /// A join string for a region.
    pub async fn join_string(&self, region: Region) -> String {
        let ask = TokenRequest {
            region: region.to_string(),
            lifetime_secs: Some(600),
        };
        self.admin().token_create(&ask).await.unwrap().join
    }

    /// A gateway double that has joined and is connected.
    pub async fn gateway(&self, region: Region) -> Double {
        let mut double = Double::new();
        double
            .join(&self.join_string(region).await, &self.ca())
            .await
            .unwrap();
        double.connect(self.sync(), &self.ca()).await;
        double
    }

    pub fn ca(&self) -> PathBuf {
        self.path("state/ca.pem")
    }

    /// The state of a task: 0 done, 1 failed with a message, 2 running.
    pub async fn task(&self, caller: &Caller, task: u64) -> (u64, String) {
        let id = task.to_string();
        let answer = self
            .call_as(caller, "gz", "DescribeVpcTaskResult", &[("taskId", &id)])
            .await;
        let message = answer["data"]["output"]["errorMsg"].as_str().unwrap();
        (
            answer["data"]["status"].as_u64().unwrap(),
            message.to_owned(),
        )
    }

    /// Waits for the end of a task of the first account.
    pub async fn end_of(&self, task: u64) -> Result<(), String> {
        self.end_of_as(&first(), task).await
    }

    pub async fn end_of_as(&self, caller: &Caller, task: u64) -> Result<(), String> {
        let deadline = tokio::time::Instant::now() + BOUND;
        loop {
            match self.task(caller, task).await {
                (0, _) => return Ok(()),
                (1, message) => return Err(message),
                _ => assert!(
                    tokio::time::Instant::now() < deadline,
                    "task {task} never ends"
                ),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The caller of the seed's first account.
pub fn first() -> Caller {
    Caller::new(SECRET_ID, SECRET_KEY)
}

/// The caller of the seed's second account.
pub fn second() -> Caller {
    Caller::new(OTHER_SECRET_ID, OTHER_SECRET_KEY)
}

/// Waits until a condition holds.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + BOUND;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
