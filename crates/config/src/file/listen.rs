//! `[listen]`: where the two listeners are.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use schemars::JsonSchema;
use serde::Deserialize;

use super::tls::{RawServerTls, ServerFiles, server_files};
use crate::{
    node::{Field, Placed},
    problem::Findings,
    quantity::Address,
};

const AGENTS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7400);
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7401);

/// Where the two listeners are.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Listen")]
pub(crate) struct RawListen {
    /// The address for agents. Port 0 lets the system choose one.
    #[schemars(extend("default" = "127.0.0.1:7400"))]
    agents: Field<Address>,
    /// The address for administration. Port 0 lets the system choose one.
    #[schemars(extend("default" = "127.0.0.1:7401"))]
    admin: Field<Address>,
    /// Whether `admin` may be an address that other machines can reach although it has no TLS of its own.
    #[schemars(extend("default" = false))]
    admin_public: Field<bool>,
    /// The TLS of the agents' listener. It speaks plain HTTP if absent.
    agents_tls: Field<RawServerTls>,
    /// The TLS of the administration listener. It speaks plain HTTP if absent.
    admin_tls: Field<RawServerTls>,
}

/// Where the two listeners are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) agents: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) agents_tls: Option<ServerFiles>,
    pub(crate) admin_tls: Option<ServerFiles>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            agents: AGENTS,
            admin: ADMIN,
            agents_tls: None,
            admin_tls: None,
        }
    }
}

impl TryFrom<(RawListen, &Path)> for Listen {
    type Error = Findings;

    /// Paths are relative to the directory.
    fn try_from((raw, dir): (RawListen, &Path)) -> Result<Self, Findings> {
        let mut findings = Findings::default();
        let has_admin_tls = raw.admin_tls.is_present();
        let mark = raw.admin.mark().or(raw.agents.mark());
        let agents = raw.agents.value().map_or(AGENTS, |address| address.0);
        let admin = match raw.admin.given() {
            Some(Placed {
                mark,
                value: Address(address),
            }) => {
                if is_public(address) && !has_admin_tls && raw.admin_public.value() != Some(true) {
                    findings.add_with_help(
                        mark,
                        format!("the administration listener would be open to other machines at {address}"),
                        "it has no TLS, so administrators' credentials would cross the network in the clear: use \
                         127.0.0.1, give it a certificate in [listen.admin_tls], or put a TLS proxy in front of it and \
                         set `admin_public = true` in [listen]",
                    );
                }
                address
            }
            None => ADMIN,
        };
        if agents == admin && agents.port() != 0 {
            let message = format!("both listeners would be at {agents}");
            findings.add_with_help(mark, message, "give `agents` and `admin` ports of their own");
        }
        let agents_tls = server_files("listen.agents_tls", raw.agents_tls, dir, &mut findings);
        let admin_tls = server_files("listen.admin_tls", raw.admin_tls, dir, &mut findings);
        findings.conclude(Some(Self {
            agents,
            admin,
            agents_tls,
            admin_tls,
        }))
    }
}

/// Whether other machines may be able to reach an address.
pub(crate) fn is_public(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}
