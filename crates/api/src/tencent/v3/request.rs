//! From a request's parts to a command of the domain.
//!
//! [`Request::read`] does what can be done before the caller is known: method, size, the form of the
//! authorization. The caller of this module then looks the key up, checks the clock and calls
//! [`Request::verify`]; only what is authenticated is decoded further, by [`Request::command`]. The
//! order of the checks is that of the vendor: version, action, region, parameters.

use aws_lc_rs::digest;
use http::{HeaderMap, Method};
use model::{Command, Region, Uin};

use super::action::{self, Action};
use super::error::Error;
use super::field::Arguments;
use super::signature::{self, Authorization, Signed};
use super::tree::{self, Node};
use crate::tencent::parameters::{ParameterLimits, Parameters};
use crate::tencent::request::Limits;
use crate::tencent::signature::PATH as LEGACY_PATH;
use crate::tencent::{self, SignedRequest};

/// The path that clients sign, whatever they call.
pub const PATH: &str = "/";

/// The longest query of a GET.
pub const LONGEST_QUERY: usize = 32 << 10;

/// The longest body of a POST, whatever signs it. The vendor allows more under TC3; no action here
/// needs it, and bodies are held in memory before their sender is known.
pub const LONGEST_BODY: usize = 1 << 20;

/// The parameters of every request that is signed by version 1, next to those of the action.
const COMMON_PARAMETERS: [&str; 11] = [
    "Action",
    "Language",
    "Nonce",
    "Region",
    "RequestClient",
    "SecretId",
    "Signature",
    "SignatureMethod",
    "Timestamp",
    "Token",
    "Version",
];

/// What arrived.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, which an operator's proxy may have added to.
    pub path: &'a str,
    /// The query, without its question mark, byte for byte.
    pub query: &'a str,
    /// The host that the client called, byte for byte: it may be something else than a host.
    pub host: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
}

/// Whether a request is one of this dialect, by what is known before its body. At the path of the
/// legacy API only the headers tell: later clients that are pointed at it send a version as well.
pub fn is_recognised(path: &str, headers: &HeaderMap, query: Option<&str>) -> bool {
    let has_version = |query: &str| query.split('&').any(|pair| pair.starts_with("Version="));
    let mut names = ["x-tc-action", "x-tc-version"].iter();
    names.any(|name| headers.contains_key(*name))
        || path != LEGACY_PATH && query.is_some_and(has_version)
}

/// A token that makes a creation happen once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// As it was given.
    pub text: String,
    /// Over account, action and token.
    pub digest: [u8; 32],
    /// Over region and parameters, in whatever order and form they were sent.
    pub parameters: [u8; 32],
}

fn sha256<'a>(texts: impl Iterator<Item = &'a str>) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for text in texts {
        // Lengths first, so that no two lists of texts give the same bytes.
        context.update(&(text.len() as u64).to_be_bytes());
        context.update(text.as_bytes());
    }
    let digest = context.finish();
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// A request whose caller is not known yet.
pub struct Request<'a> {
    incoming: Incoming<'a>,
    signing: Signing<'a>,
    timestamp: u64,
}

/// How a request is signed; where its common parameters are follows from that.
enum Signing<'a> {
    Tc3 {
        authorization: Authorization<'a>,
        timestamp: &'a str,
    },
    V1(Parameters),
}

/// What is asked for.
#[derive(Clone, PartialEq)]
pub struct Parsed {
    /// The action.
    pub action: &'static Action,
    /// The command.
    pub command: Command,
    /// The parameters as given, which some answers depend on.
    pub arguments: Arguments,
}

impl<'a> Request<'a> {
    /// Reads what is needed to authenticate a request.
    ///
    /// # Errors
    /// [`Error::Method`], [`Error::TooLarge`], [`Error::Form`], [`Error::Unsigned`],
    /// [`Error::Authorization`], [`Error::Missing`] and [`Error::Type`].
    pub fn read(incoming: Incoming<'a>) -> Result<Request<'a>, Error> {
        if incoming.method != Method::GET && incoming.method != Method::POST {
            let shown = incoming.method.as_str().chars().take(16).collect();
            return Err(Error::Method(shown));
        }
        if incoming.query.len() > LONGEST_QUERY {
            return Err(Error::TooLarge {
                limit: LONGEST_QUERY,
            });
        }
        if incoming.body.len() > LONGEST_BODY {
            return Err(Error::TooLarge {
                limit: LONGEST_BODY,
            });
        }
        let signing = match incoming.headers.get("authorization") {
            Some(value) => {
                let reason = "it is not ASCII";
                let text = value
                    .to_str()
                    .map_err(|_| signature::AuthorizationError(reason))?;
                let authorization = Authorization::parse(text)?;
                let timestamp = incoming
                    .header("x-tc-timestamp")
                    .ok_or_else(|| Error::Missing("X-TC-Timestamp".to_owned()))?;
                Signing::Tc3 {
                    authorization,
                    timestamp,
                }
            }
            None => Signing::V1(v1_parameters(incoming)?),
        };
        let timestamp = match &signing {
            Signing::Tc3 { timestamp, .. } => seconds("X-TC-Timestamp", timestamp)?,
            Signing::V1(parameters) => seconds("Timestamp", required(parameters, "Timestamp")?)?,
        };
        if let Signing::V1(parameters) = &signing {
            required(parameters, "SecretId")?;
            seconds("Nonce", required(parameters, "Nonce")?)?;
        }
        Ok(Request {
            incoming,
            signing,
            timestamp,
        })
    }

    fn common(&self, header: &str, parameter: &str) -> Option<&str> {
        let value = match &self.signing {
            Signing::Tc3 { .. } => self.incoming.header(header),
            Signing::V1(parameters) => parameters.get(parameter),
        };
        value.filter(|value| !value.is_empty())
    }

    /// The public half of the key that signed.
    pub fn secret_id(&self) -> &str {
        match &self.signing {
            Signing::Tc3 { authorization, .. } => authorization.secret_id,
            Signing::V1(parameters) => parameters.get("SecretId").unwrap_or_default(),
        }
    }

    /// When it was signed, in seconds of Unix time.
    pub fn timestamp(&self) -> u64 {
        self.timestamp
    }

    /// The token of temporary credentials.
    pub fn token(&self) -> Option<&str> {
        self.common("x-tc-token", "Token")
    }

    /// The client's name for itself.
    pub fn client(&self) -> Option<&str> {
        self.common("x-tc-requestclient", "RequestClient")
    }

    /// Verifies the signature.
    ///
    /// # Errors
    /// [`Error::Signature`], [`Error::LegacySignature`].
    pub fn verify(&self, secret_key: &[u8]) -> Result<(), Error> {
        let Incoming {
            method,
            path,
            query,
            host,
            headers,
            body,
        } = self.incoming;
        let is_get = method == Method::GET;
        match &self.signing {
            Signing::Tc3 {
                authorization,
                timestamp,
            } => {
                let signed = Signed {
                    method: method.as_str(),
                    query: if is_get { query } else { "" },
                    host,
                    headers,
                    body: if is_get { b"" } else { body },
                    timestamp,
                };
                Ok(signature::verify(&signed, authorization, secret_key)?)
            }
            Signing::V1(parameters) => {
                let method = match is_get {
                    true => tencent::Method::Get,
                    false => tencent::Method::Post,
                };
                let verify = |path| {
                    let signed = SignedRequest {
                        method,
                        host,
                        path,
                        parameters,
                    };
                    tencent::verify(&signed, secret_key)
                };
                // One client signs the path of its endpoint, if that has one.
                let verified = verify(PATH).or_else(|error| match path {
                    PATH => Err(error),
                    other => verify(other),
                });
                verified.map_err(Error::LegacySignature)
            }
        }
    }

    /// The action that is named, whether it exists or not.
    pub fn action_name(&self) -> Option<&str> {
        self.common("x-tc-action", "Action")
    }

    /// The action.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Version`], [`Error::UnknownAction`].
    pub fn action(&self) -> Result<&'static Action, Error> {
        let missing = |name: &str| Error::Missing(name.to_owned());
        let version = self
            .common("x-tc-version", "Version")
            .ok_or_else(|| missing("Version"))?;
        if !action::VERSIONS.contains(&version) {
            return Err(Error::Version(version.chars().take(64).collect()));
        }
        let name = self.action_name().ok_or_else(|| missing("Action"))?;
        action::find(name, version)
            .ok_or_else(|| Error::UnknownAction(name.chars().take(64).collect()))
    }

    /// Reads region and parameters. For requests that were verified.
    ///
    /// # Errors
    /// [`Error::Region`], those of the tree and of single parameters, and [`Error::Domain`] where a
    /// value is judged by the domain already here.
    pub fn command(
        &self,
        action: &'static Action,
        signer: Uin,
        limits: &Limits,
    ) -> Result<Parsed, Error> {
        let region = self.region(action)?;
        let arguments = Arguments::read(action.fields, self.tree()?, "")?;
        let command = action.command(region, signer, &arguments, limits)?;
        Ok(Parsed {
            action,
            command,
            arguments,
        })
    }

    /// How a creation is known that its sender gave a token, if it is one.
    pub fn client_token(&self, account: Uin, parsed: &Parsed) -> Option<Token> {
        let token = parsed.arguments.text("ClientToken")?;
        let mut pairs = self.pairs();
        pairs.retain(|(name, _)| name != "ClientToken");
        pairs.sort_unstable();
        let account = account.0.to_string();
        let pairs = pairs.iter().flat_map(|(name, value)| [&**name, &**value]);
        Some(Token {
            text: token.to_owned(),
            digest: sha256(["ClientToken", &account, parsed.action.name, token].into_iter()),
            parameters: sha256(pairs),
        })
    }

    /// What the request says, as flat pairs, for a log that chooses what it repeats. Nothing when the
    /// parameters cannot be decoded.
    pub fn pairs(&self) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        if let Some(region) = self.common("x-tc-region", "Region") {
            pairs.push(("Region".to_owned(), region.to_owned()));
        }
        if let Ok(tree) = self.tree() {
            tree::flatten(&tree, "", &mut pairs);
        }
        pairs
    }

    fn region(&self, action: &Action) -> Result<Option<Region>, Error> {
        let text = self.common("x-tc-region", "Region");
        if !action.needs_region() {
            return Ok(None);
        }
        let text = text.ok_or_else(|| Error::Missing("Region".to_owned()))?;
        let region = text
            .parse()
            .map_err(|_| Error::Region(text.chars().take(64).collect()))?;
        Ok(Some(region))
    }

    fn tree(&self) -> Result<Node, Error> {
        let Incoming {
            method,
            query,
            headers,
            body,
            ..
        } = self.incoming;
        let form = |parameters: &Parameters, common: &[&str]| {
            Ok(tree::from_form(tree::action_pairs(parameters, common))?)
        };
        if let Signing::V1(parameters) = &self.signing {
            return form(parameters, &COMMON_PARAMETERS);
        }
        let bounds = ParameterLimits::default();
        if method == Method::GET {
            return form(&Parameters::from_query(query, &bounds)?, &[]);
        }
        let full = text_of(headers, "content-type").unwrap_or_default();
        match essence(full).as_str() {
            "application/json" => Ok(tree::from_json(body)?),
            "application/x-www-form-urlencoded" => {
                form(&Parameters::from_body(Some(full), body, &bounds)?, &[])
            }
            "multipart/form-data" => Ok(tree::from_multipart(full, body)?),
            other => Err(Error::ContentType(other.chars().take(64).collect())),
        }
    }
}

impl<'a> Incoming<'a> {
    fn header(&self, name: &str) -> Option<&'a str> {
        text_of(self.headers, name)
    }
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn essence(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// The parameters of a request without an Authorization header: the query of a GET, the form of a
/// POST.
fn v1_parameters(incoming: Incoming<'_>) -> Result<Parameters, Error> {
    let bounds = ParameterLimits::default();
    let parameters = if incoming.method == Method::GET {
        Parameters::from_query(incoming.query, &bounds)?
    } else {
        let full = incoming.header("content-type").unwrap_or_default();
        if !matches!(&*essence(full), "" | "application/x-www-form-urlencoded") {
            return Err(Error::Unsigned);
        }
        Parameters::from_body(Some(full), incoming.body, &bounds)?
    };
    match parameters.get("Signature") {
        Some(signature) if !signature.is_empty() => Ok(parameters),
        Some(_) | None => Err(Error::Unsigned),
    }
}

fn required<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a str, Error> {
    let value = parameters.get(name).filter(|value| !value.is_empty());
    value.ok_or_else(|| Error::Missing(name.to_owned()))
}

fn seconds(name: &str, text: &str) -> Result<u64, Error> {
    let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = Some(text)
        .filter(|_| is_decimal)
        .and_then(|text| text.parse().ok());
    value.ok_or_else(|| Error::Type {
        name: name.to_owned(),
        reason: "a decimal number is expected",
    })
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
