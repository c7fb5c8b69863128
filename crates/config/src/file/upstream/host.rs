//! Hosts of base URLs: which lead to the machine's own network, and which to what answers there with credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HELP: &str = "machines and clouds answer there with settings and credentials of their own; write the provider's \
                    address, or private_network = true if this is one";

/// Refuses a host that is link-local or a cloud's metadata service, unless the upstream is said to be inside the network;
/// and, in any case, a number that only some resolvers take for an address, so that no check could tell which.
pub(super) fn check(host: &str, private: bool) -> Result<(), (&'static str, &'static str)> {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    match address(&name) {
        Some(address) if !private && is_link_local(address) => Err((
            "the base URL leads to a link-local address or a cloud's metadata service",
            HELP,
        )),
        Some(_) => Ok(()),
        None if is_numeric(&name) => Err((
            "the host of the base URL is a number that some systems take for an address",
            "write an IPv4 address as four decimal numbers, an IPv6 address in brackets and without a zone",
        )),
        None if !private && METADATA_NAMES.contains(&name.as_str()) => {
            Err(("the base URL leads to a cloud's metadata service", HELP))
        }
        None => Ok(()),
    }
}

/// Names of metadata services: Google's, and what others call theirs.
const METADATA_NAMES: [&str; 4] = ["metadata", "metadata.google.internal", "metadata.goog", "instance-data"];

/// Metadata services and platform endpoints at addresses that are not link-local: Alibaba Cloud, Oracle Cloud, Azure.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];
/// Amazon's, over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || METADATA_V4.contains(&address),
        IpAddr::V6(address) => {
            let inner = inner(address).is_some_and(|inner| is_link_local(IpAddr::V4(inner)));
            inner || address.is_unicast_link_local() || address == METADATA_V6
        }
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped or compatible (RFC 4291, section 2.5.5), translated (RFC
/// 6052), or tunnelled (RFC 3056).
fn inner(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let of = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(of(high, low)),
        [0x2002, high, low, ..] => Some(of(high, low)),
        _ => address.to_ipv4(),
    }
}

/// Whether a host that is no address ends like one: `2852039166`, `0xa9fea9fe`, `169.254.43518`, `[fe80::1%eth0]`.
fn is_numeric(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    let hex = last
        .strip_prefix("0x")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
    host.starts_with('[') || hex || (!last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether it is this machine.
pub(in crate::file) fn is_loopback(host: &str) -> bool {
    host == "localhost" || address(host).is_some_and(|address| address.to_canonical().is_loopback())
}

/// Whether a name looks like one that only a network of one's own knows.
pub(super) fn is_inside(host: &str) -> bool {
    const ENDINGS: [&str; 8] = [
        ".cluster.local",
        ".home.arpa",
        ".internal",
        ".lan",
        ".local",
        ".localdomain",
        ".localhost",
        ".svc",
    ];
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    name != "localhost"
        && address(&name).is_none()
        && (!name.contains('.') || ENDINGS.iter().any(|ending| name.ends_with(ending)))
}
