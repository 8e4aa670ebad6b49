//! Putting a server together, running it and ending it in order.

use std::fs::DirBuilder;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::sync::check_endpoint;
use api::tencent::{AllowedBandwidths, Limits};
use store::series::{SeriesOptions, SeriesStore, SqliteSeries};
use store::{BackendError, SqliteStore, Store, StoreError};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::admin::{self, Admin, BindError, Socket};
use crate::audit::Audit;
use crate::certificate::OwnCertificate;
use crate::clock::{Clock, SystemClock};
use crate::config::{MASTER_KEY_FILE, STATE_FILE, ServerConfig};
use crate::core::{Core, Rules};
use crate::error::OpenError;
use crate::history::{self, History};
use crate::http::{self, ApiOptions, PublicApi};
use crate::listener::Lifetime;
use crate::reconcile;
use crate::sealing::{MasterKey, MasterKeyError};
use crate::seed::{Seed, SeedError};
use crate::sync::{self, Sessions};
use crate::telemetry::Telemetry;
use crate::tls::{self, Authority, ServerIdentity, TlsError};

/// The measured points' file in the state folder.
const SERIES_FILE: &str = "series.db";

/// The folder of the audit log in the state folder.
const AUDIT_FOLDER: &str = "audit";

/// How long what was begun may take to finish after the server was asked to stop.
const DRAIN_TIME_LIMIT: Duration = Duration::from_secs(10);

/// How often measured times are folded into their buckets, and the audit log is synced.
const FOLD_PERIOD: Duration = Duration::from_secs(5);

/// How long the parts of a server may take to let go of the store after they have ended.
const RELEASE_TIME_LIMIT: Duration = Duration::from_secs(5);

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state folder cannot be made.
    #[error("the state folder `{}` cannot be made", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The audit log cannot be opened.
    #[error("the audit log in `{}` cannot be opened", path.display())]
    Audit {
        /// Its folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A listener cannot be bound.
    #[error("cannot listen on {address} ({what}); is another server running?")]
    Listen {
        /// What for.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The address of join strings is not `host:port`.
    #[error("the advertised sync address is not usable: {0}")]
    Advertise(String),
    /// The operator's socket cannot be made.
    #[error(transparent)]
    Admin(#[from] BindError),
    /// The state cannot be opened.
    #[error("the state cannot be opened")]
    Store(#[from] StoreError),
    /// The measured points cannot be opened.
    #[error(
        "the measured points in `{}` cannot be opened; only GetMonitorData needs them, so when the \
         file is damaged, move it away to start with an empty one", path.display()
    )]
    Series {
        /// The file.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The measured points cannot be read.
    #[error("the measured points cannot be read")]
    History(#[source] BackendError),
    /// The master key cannot be used.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The state cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The seed cannot be applied.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// Certificates cannot be made or used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A thread of the start panicked.
    #[error("opening the state panicked")]
    Panicked,
}

/// Why a server stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The changes of the store are no longer followed; the log tells why.
    #[error("the changes of the store are no longer followed; restart the server")]
    StateLost,
}

/// A server that has bound its listeners and loaded its state, and serves nobody yet.
pub struct Server {
    core: Arc<Core>,
    sessions: Arc<Sessions>,
    store: Arc<SqliteStore>,
    series: Arc<SqliteSeries>,
    telemetry: Arc<Telemetry>,
    public: Arc<PublicApi>,
    https: Option<(TcpListener, SocketAddr, TlsAcceptor)>,
    http: Option<(TcpListener, SocketAddr)>,
    sync: (TcpListener, SocketAddr, TlsAcceptor),
    admin: (Admin, Socket),
    audit: Audit,
    own: Option<Arc<OwnCertificate>>,
}

/// Builds a server with the machine's clock: opens or makes its state, applies the seed, binds
/// every listener.
///
/// # Errors
/// [`StartError`].
pub async fn build(config: ServerConfig) -> Result<Server, StartError> {
    build_with_clock(config, Arc::new(SystemClock)).await
}

/// Builds a server with a clock of the caller's, for tests.
///
/// # Errors
/// [`StartError`].
pub async fn build_with_clock(
    config: ServerConfig,
    clock: Arc<dyn Clock>,
) -> Result<Server, StartError> {
    make_folder(&config.state_dir)?;
    // Before the first connection is taken: whoever waits for the port can read what to trust.
    let authority = Authority::load_or_create(&config.state_dir, clock.now())?;
    let listeners = Listeners::bind(&config).await?;
    let socket = Socket::bind(&config.admin_socket).await?;
    let store = open_store(&config.state_dir).await?;
    let master_key = MasterKey::load_or_create(&config.state_dir.join(MASTER_KEY_FILE))?;
    let rules = Rules {
        overlap: config.overlap,
        request_lifetime: config.request_lifetime,
        task_timeout: config.task_timeout,
        dataplane: config.dataplane,
    };
    let shared: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let series = open_series(&config, &*clock).await?;
    let history = History::open(Arc::clone(&series) as Arc<dyn SeriesStore>)
        .await
        .map_err(StartError::History)?;
    let core =
        Core::open_with_history(shared, history, Arc::clone(&clock), master_key, rules).await?;
    let audit = open_audit(&config, Arc::clone(&clock))?;
    if let Some(file) = &config.seed_file {
        let report = core.apply_seed(&Seed::load(file)?).await?;
        tracing::info!(file = %file.display(), ?report, "the seed is applied");
    }
    let sync_address = listeners.advertised(&config)?;
    let names = listeners.names(&config, &sync_address);
    let identity = authority.issue(&config.state_dir, &names, clock.now())?;
    let sessions = Sessions::new(clock);
    let telemetry = Arc::new(Telemetry::new(Arc::clone(&store)));
    let public = Arc::new(PublicApi::new(
        Arc::clone(&core),
        Arc::clone(&sessions),
        Arc::clone(&telemetry),
        audit.clone(),
        ApiOptions {
            limits: limits(&config),
            clock_window: config.clock_window,
            replay: config.replay,
            rate_limit: config.rate_limit,
        },
    ));
    let admin = Admin {
        core: Arc::clone(&core),
        sessions: Arc::clone(&sessions),
        audit: audit.clone(),
        sync_address,
        ca_sha256: authority.fingerprint(),
    };
    let own = config.certificate.clone().map(OwnCertificate::load);
    let own = own.transpose()?;
    let Listeners { https, http, sync } = listeners;
    Ok(Server {
        https: https
            .map(|(listener, address)| {
                Ok::<_, TlsError>((listener, address, public_tls(&identity, own.clone())?))
            })
            .transpose()?,
        http,
        sync: (sync.0, sync.1, TlsAcceptor::from(identity.sync_config()?)),
        core,
        sessions,
        store,
        series,
        telemetry,
        public,
        admin: (admin, socket),
        audit,
        own,
    })
}

impl Server {
    /// Where the public API listens with TLS.
    pub fn https_address(&self) -> Option<SocketAddr> {
        self.https.as_ref().map(|(_, address, _)| *address)
    }

    /// Where the public API listens without TLS.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(|(_, address)| *address)
    }

    /// Where gateways connect.
    pub fn sync_address(&self) -> SocketAddr {
        self.sync.1
    }

    /// The use cases, for whoever composes the server with more.
    pub fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// What the gateways' streams have told.
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// Serves until `shutdown` completes, then finishes what was begun, at most for 10 s. When it
    /// returns the state is closed and can be opened again.
    ///
    /// # Errors
    /// [`RunError`] when the server cannot go on.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let lifetime = Lifetime::default();
        let Server {
            core,
            sessions,
            store,
            series,
            telemetry,
            public,
            https,
            http,
            sync,
            admin,
            audit,
            own,
        } = self;
        if let Some(own) = own {
            lifetime.spawn(own.follow(lifetime.stop.clone()));
        }
        if let Some((listener, _, tls)) = https {
            let serve = http::serve(Arc::clone(&public), listener, Some(tls), lifetime.clone());
            lifetime.spawn(serve);
        }
        if let Some((listener, _)) = http {
            let serve = http::serve(Arc::clone(&public), listener, None, lifetime.clone());
            lifetime.spawn(serve);
        }
        let (listener, _, tls) = sync;
        lifetime.spawn(sync::serve(
            Arc::clone(&core),
            Arc::clone(&sessions),
            listener,
            tls,
            lifetime.clone(),
        ));
        lifetime.spawn(admin::serve(admin.0, admin.1, lifetime.clone()));
        let stop = lifetime.stop.clone();
        lifetime.spawn(http::forget(Arc::clone(&public), stop.clone()));
        let measure = history::run(Arc::clone(&core), Arc::clone(&sessions), stop.clone());
        lifetime.spawn(measure);
        lifetime.spawn(reconcile::run(Arc::clone(&core), sessions, stop));
        lifetime.spawn(fold(telemetry, audit.clone(), lifetime.clone()));
        let mut revisions = core.revisions();
        drop((core, public));
        let ended = tokio::select! {
            () = shutdown => Ok(()),
            () = async { while revisions.changed().await.is_ok() {} } => Err(RunError::StateLost),
        };
        drain(&lifetime).await;
        release("state", store).await;
        release("history", series).await;
        audit.close().await;
        ended
    }
}

async fn fold(telemetry: Arc<Telemetry>, audit: Audit, lifetime: Lifetime) {
    let mut period = tokio::time::interval(FOLD_PERIOD);
    loop {
        tokio::select! {
            _ = period.tick() => {
                telemetry.fold();
                audit.sync();
            }
            () = lifetime.stop.cancelled() => return,
        }
    }
}

async fn drain(lifetime: &Lifetime) {
    lifetime.stop.cancel();
    lifetime.tasks.close();
    let drained = tokio::time::timeout(DRAIN_TIME_LIMIT, lifetime.tasks.wait()).await;
    if drained.is_err() {
        let left = lifetime.tasks.len();
        tracing::warn!(
            left,
            "connections and calls that did not end in time are cut"
        );
        lifetime.cut.cancel();
        lifetime.tasks.wait().await;
    }
}

// The last holder closes the store; the core's follower is a task that ends a moment later.
async fn release<T: Send + Sync + 'static>(what: &'static str, store: Arc<T>) {
    let alone = async {
        while Arc::strong_count(&store) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    if tokio::time::timeout(RELEASE_TIME_LIMIT, alone)
        .await
        .is_err()
    {
        tracing::warn!(what, "something still holds a store");
    }
    // Closing waits for the disk.
    if let Err(error) = tokio::task::spawn_blocking(move || drop(store)).await {
        tracing::error!(%error, what, "closing a store panicked");
    }
}

/// The bound TCP listeners with their addresses.
struct Listeners {
    https: Option<(TcpListener, SocketAddr)>,
    http: Option<(TcpListener, SocketAddr)>,
    sync: (TcpListener, SocketAddr),
}

impl Listeners {
    async fn bind(config: &ServerConfig) -> Result<Listeners, StartError> {
        let mut https = None;
        if let Some(address) = config.https {
            https = Some(bind("https", address).await?);
        }
        let mut http = None;
        if let Some(address) = config.http {
            http = Some(bind("http", address).await?);
        }
        let sync = bind("sync", config.sync).await?;
        Ok(Listeners { https, http, sync })
    }

    /// The `host:port` of join strings.
    fn advertised(&self, config: &ServerConfig) -> Result<String, StartError> {
        let bound = self.sync.1;
        let address = match &config.sync_advertise {
            Some(address) => address.clone(),
            None if bound.ip().is_unspecified() => {
                let reachable = tls::host_addresses().into_iter().next();
                let ip = reachable.unwrap_or(std::net::Ipv4Addr::LOCALHOST.into());
                SocketAddr::new(ip, bound.port()).to_string()
            }
            None => bound.to_string(),
        };
        check_endpoint(&address).map_err(|problem| StartError::Advertise(problem.to_string()))?;
        Ok(address)
    }

    /// The names of the certificate beside the standing ones.
    fn names(&self, config: &ServerConfig, sync_address: &str) -> Vec<String> {
        let mut names = config.tls_names.clone();
        let host = sync_address
            .rsplit_once(':')
            .map_or(sync_address, |(host, _)| host);
        names.push(host.trim_matches(['[', ']']).to_owned());
        let bound = [self.https.as_ref(), self.http.as_ref(), Some(&self.sync)];
        for (_, address) in bound.into_iter().flatten() {
            if address.ip().is_unspecified() {
                names.extend(tls::host_addresses().iter().map(ToString::to_string));
            } else {
                names.push(address.ip().to_string());
            }
        }
        names
    }
}

async fn bind(
    what: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen {
        what,
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn make_folder(path: &Path) -> Result<(), StartError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(|source| StartError::Folder {
        path: path.to_owned(),
        source,
    })
}

fn open_audit(config: &ServerConfig, clock: Arc<dyn Clock>) -> Result<Audit, StartError> {
    let path = config.state_dir.join(AUDIT_FOLDER);
    let max_bytes = config.audit_max_mib.saturating_mul(1024 * 1024);
    Audit::open(&path, max_bytes, clock).map_err(|source| StartError::Audit { path, source })
}

async fn open_store(state_dir: &Path) -> Result<Arc<SqliteStore>, StartError> {
    let path = state_dir.join(STATE_FILE);
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&path)).await;
    Ok(Arc::new(opened.map_err(|_| StartError::Panicked)??))
}

async fn open_series(
    config: &ServerConfig,
    clock: &dyn Clock,
) -> Result<Arc<SqliteSeries>, StartError> {
    let path = config.state_dir.join(SERIES_FILE);
    let options = SeriesOptions {
        max_bytes: config.metrics_max_bytes,
        now: clock.now(),
    };
    let file = path.clone();
    let opened = tokio::task::spawn_blocking(move || SqliteSeries::open(&file, options)).await;
    opened
        .map_err(|_| StartError::Panicked)?
        .map(Arc::new)
        .map_err(|source| StartError::Series { path, source })
}

fn public_tls(
    identity: &ServerIdentity,
    own: Option<Arc<OwnCertificate>>,
) -> Result<TlsAcceptor, TlsError> {
    Ok(TlsAcceptor::from(match own {
        Some(own) => tls::config_of(own)?,
        None => identity.public_config()?,
    }))
}

fn limits(config: &ServerConfig) -> Limits {
    Limits {
        bandwidth_ceiling_mbps: config.max_bandwidth_mbps,
        bandwidths: match config.documented_bandwidths_only {
            true => AllowedBandwidths::DocumentedSet,
            false => AllowedBandwidths::Any,
        },
    }
}
