//! `[listen]`: where the two listeners are.

use std::net::{Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{
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
    /// Whether `admin` may be an address that other machines can reach. It has no TLS of its own.
    #[schemars(extend("default" = false))]
    admin_public: Field<bool>,
}

/// Where the two listeners are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) agents: SocketAddr,
    pub(crate) admin: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            agents: AGENTS,
            admin: ADMIN,
        }
    }
}

impl TryFrom<RawListen> for Listen {
    type Error = Findings;

    fn try_from(raw: RawListen) -> Result<Self, Findings> {
        let mut findings = Findings::default();
        let mark = raw.admin.mark().or(raw.agents.mark());
        let agents = raw.agents.value().map_or(AGENTS, |address| address.0);
        let admin = match raw.admin.given() {
            Some(Placed {
                mark,
                value: Address(address),
            }) => {
                if is_public(address) && raw.admin_public.value() != Some(true) {
                    findings.add_with_help(
                        mark,
                        format!("the administration listener would be open to other machines at {address}"),
                        "it has no TLS yet, so administrators' credentials would cross the network in the clear: use \
                         127.0.0.1, or put a TLS proxy in front of it and set `admin_public = true` in [listen]",
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
        findings.conclude(Some(Self { agents, admin }))
    }
}

/// Whether other machines may be able to reach an address.
pub(crate) fn is_public(address: SocketAddr) -> bool {
    !address.ip().to_canonical().is_loopback()
}
