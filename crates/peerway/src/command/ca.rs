//! `peerway ca`: the deployment's CA, and how to make each client trust it.

use std::path::PathBuf;

use anyhow::Context;

use crate::config::SERVER_STATE_DIR;

/// Where the CA is.
#[derive(Debug, clap::Args)]
pub struct CaArgs {
    /// The server's state folder [default: /var/lib/peerway/server]
    #[arg(long, env = "PEERWAY_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Print the certificate itself, PEM, and nothing else.
    #[arg(long)]
    pub pem: bool,
}

/// Prints the CA's certificate or what to do with it.
///
/// # Errors
/// When it cannot be read.
pub fn print(args: CaArgs) -> anyhow::Result<()> {
    let folder = args
        .state_dir
        .unwrap_or_else(|| PathBuf::from(SERVER_STATE_DIR));
    let path = folder.join(server::tls::CA_FILE);
    let pem = std::fs::read_to_string(&path).with_context(|| {
        let path = path.display();
        format!("cannot read `{path}`; the server makes it at its first start")
    })?;
    if args.pem {
        print!("{pem}");
    } else {
        print!("{}", advice(&path.display().to_string()));
    }
    Ok(())
}

fn advice(ca: &str) -> String {
    format!(
        "The certificate of this deployment's CA is {ca}.\n\
         Copy it to the client's host and let the client trust it there:\n\n\
         Python SDK     HttpProfile(certification=\"{ca}\")\n\
         tccli          cat {ca} >> \"$(python -c 'import certifi; print(certifi.where())')\"\n\
         Node SDK       NODE_EXTRA_CA_CERTS={ca}\n\
         Go SDK         SSL_CERT_FILE={ca}\n\
         Terraform      SSL_CERT_FILE={ca}\n\
         Java SDK       keytool -importcert -file {ca} -keystore trust.p12, then\n\
         \x20              -Djavax.net.ssl.trustStore=trust.p12\n\
         curl           --cacert {ca}\n\
         whole host     cp {ca} /usr/local/share/ca-certificates/peerway.crt && update-ca-certificates\n\n\
         docs/clients.md tells the endpoint of each. Names of the certificate: `server --tls-name`.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_of_the_handbook_is_told_the_path() {
        let text = advice("/a/ca.pem");
        for client in ["Python", "tccli", "Node", "Go", "Terraform", "Java"] {
            let line = text.lines().find(|line| line.starts_with(client));
            assert!(
                line.is_some_and(|line| line.contains("/a/ca.pem")),
                "{client}"
            );
        }
    }
}
