//! The agent on the real kernel and the real engine. Needs root.

use kernel::netns::Namespace;
use tokio::sync::oneshot;

use super::server::FakeServer;
use super::site::{Site, await_status};
use crate::control::{AttachRequest, AttachTarget, Client};
use crate::testing::{slice, vpc_id};

/// Namespaces that go with the test, however it ends: those whose names begin so.
struct Owned(String);

impl Drop for Owned {
    fn drop(&mut self) {
        for name in namespaces(&self.0) {
            let _ = Namespace::delete(&name);
        }
    }
}

fn namespaces(prefix: &str) -> Vec<String> {
    let all = Namespace::list().unwrap();
    all.into_iter()
        .filter(|name| name.starts_with(prefix))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn root_a_gateway_is_made_taken_up_again_and_cleaned() {
    assert!(nix::unistd::geteuid().is_root(), "this test needs root");
    let server = FakeServer::start(Some(slice(7))).await;
    let site = Site::new();
    let host = Owned(format!("gwtest-{}", std::process::id()));
    Namespace::create(&host.0).unwrap();
    let mut config = site.config(Some(server.join_string()));
    config.listen = vec!["127.0.0.1:0".parse().unwrap()];
    let client = Client::new(site.socket());
    let request = AttachRequest {
        name: "web".to_owned(),
        vpc: "gz_vpc_1".to_owned(),
        subnet: "10.1.1.0/24".to_owned(),
        target: AttachTarget::Namespace {
            name: host.0.clone(),
            interface: "eth0".to_owned(),
        },
        configure: true,
        address: None,
    };

    let (stop, stopped) = oneshot::channel::<()>();
    let gateway = crate::build(config.clone()).await.unwrap();
    assert_ne!(gateway.listen_addresses()[0].port(), 0);
    let running = tokio::spawn(gateway.run(stopped));
    let status = await_status(&client, |status| status.generation == Some(7)).await;
    let prefix = format!("pw-{}-", status.instance);
    let _made = Owned(prefix.clone());
    assert_eq!(status.errors, []);
    client.attach(&request).await.unwrap();
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();
    assert_eq!(
        namespaces(&prefix),
        [format!("{prefix}{}", vpc_id(1).tail())]
    );

    // Without a server: what is there is taken up as it is.
    drop(server);
    config.join = None;
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(crate::build(config).await.unwrap().run(stopped));
    let status = await_status(&client, |status| status.generation == Some(7)).await;
    assert_eq!(status.errors, []);
    assert_eq!(client.plan().await.unwrap().steps, Vec::<String>::new());
    assert!(status.attachments.contains_key("web"));
    let refused = crate::clean(&site.state_dir()).await.unwrap_err();
    assert!(
        refused.to_string().contains("another gateway runs"),
        "{refused}"
    );
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();

    assert!(!crate::clean(&site.state_dir()).await.unwrap().is_empty());
    assert_eq!(namespaces(&prefix), Vec::<String>::new());
    assert!(crate::clean(&site.state_dir()).await.unwrap().is_empty());
}
