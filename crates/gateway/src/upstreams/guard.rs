//! Which addresses the name of an upstream may lead to.
//!
//! Whoever controls a name controls where it leads, and may change that after it was checked. So every address is looked
//! at when it is connected to, and a name that was not said to be inside the network does not lead there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How the host of an upstream is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// As an address: where it leads is plain to see.
    Literal(IpAddr),
    /// `localhost` (RFC 6761, section 6.3).
    Localhost,
    /// As a name that is looked up.
    Name,
}

impl Host {
    /// Of a URL's host, without brackets.
    pub(super) fn of(host: &str) -> Self {
        match host.parse() {
            Ok(address) => Self::Literal(address),
            Err(_) if host.eq_ignore_ascii_case("localhost") => Self::Localhost,
            Err(_) => Self::Name,
        }
    }
}

/// Why an address is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is inside the network: of this kind.
    Inside(&'static str),
    /// A cloud's service that hands out credentials to whoever asks, or where such services are found: link-local.
    Metadata,
}

/// Says whether an address that a host led to is connected to. `private` is what the operator said of the upstream.
pub(super) fn check(host: Host, address: IpAddr, private: bool) -> Result<(), Refused> {
    let address = plain(address);
    match host {
        Host::Literal(_) => Ok(()),
        Host::Localhost if address.is_loopback() => Ok(()),
        Host::Localhost | Host::Name if is_metadata(address) => Err(Refused::Metadata),
        Host::Localhost | Host::Name if private => Ok(()),
        Host::Localhost | Host::Name => match inside(address) {
            Some(kind) => Err(Refused::Inside(kind)),
            None => Ok(()),
        },
    }
}

/// The address that is meant by one that carries another: IPv4-mapped (RFC 4291, 2.5.5.2) and -compatible (2.5.5.1),
/// translated (RFC 6052) and 6to4 (RFC 3056).
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    let four = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            four(high, low)
        }
        _ => address,
    }
}

/// Whether clouds and container platforms answer there with settings and credentials of the machine: all that is
/// link-local (169.254.169.254, 169.254.170.2 and others of AWS, Azure and Google), and what else they use. No provider is
/// there, so a name never leads there whatever was said of its upstream.
fn is_metadata(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            address.is_link_local()
                || matches!(
                    address.octets(),
                    // Alibaba Cloud, Oracle Cloud, Azure's platform.
                    [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16]
                )
        }
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || match address.segments() {
                    // Amazon's local services, of which the metadata are one.
                    [0xfd00, 0xec2, ..] => true,
                    // Google's.
                    segments => segments == [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254],
                }
        }
    }
}

fn inside(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => inside_v4(address),
        IpAddr::V6(address) => inside_v6(address),
    }
}

/// RFC 6890 and its registry.
fn inside_v4(address: Ipv4Addr) -> Option<&'static str> {
    match address.octets() {
        [127, ..] => Some("loopback"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some("private"),
        [100, 64..=127, ..] => Some("shared (carrier-grade NAT)"),
        [0, ..] => Some("unspecified"),
        [192, 0, 0, _] | [198, 18 | 19, ..] => Some("special-purpose"),
        [224..=255, ..] => Some("multicast or reserved"),
        _ => None,
    }
}

fn inside_v6(address: Ipv6Addr) -> Option<&'static str> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("unspecified"),
        [0xfc00..=0xfdff, ..] => Some("private (unique local)"),
        [0xfec0..=0xfeff, ..] => Some("private (site-local)"),
        // Local translation (RFC 8215) and Teredo (RFC 4380) lead to whatever a machine on the way says.
        [0x64, 0xff9b, 1, ..] | [0x2001, 0, ..] => Some("special-purpose"),
        [0xff00..=0xffff, ..] => Some("multicast or reserved"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Address, what becomes of a name that leads there, and of one that is said to be inside the network.
    #[test]
    fn names_lead_out_of_the_network() {
        let check = |host: Host, address: &str, private| match check(host, address.parse().unwrap(), private) {
            Ok(()) => "ok",
            Err(Refused::Inside(kind)) => kind,
            Err(Refused::Metadata) => "metadata",
        };
        for (address, name, private) in [
            ("127.0.0.1", "loopback", "ok"),
            ("127.9.9.9", "loopback", "ok"),
            ("::1", "loopback", "ok"),
            ("::ffff:127.0.0.1", "loopback", "ok"),
            ("::7f00:1", "loopback", "ok"),
            ("10.0.0.1", "private", "ok"),
            ("172.15.255.255", "ok", "ok"),
            ("172.16.0.1", "private", "ok"),
            ("172.31.255.255", "private", "ok"),
            ("172.32.0.1", "ok", "ok"),
            ("192.168.1.1", "private", "ok"),
            ("::ffff:192.168.1.1", "private", "ok"),
            ("64:ff9b::a00:1", "private", "ok"),
            ("64:ff9b:1::a00:1", "special-purpose", "ok"),
            ("2002:a00:1::", "private", "ok"),
            ("2001:0:1::1", "special-purpose", "ok"),
            ("fc00::1", "private (unique local)", "ok"),
            ("fdff::1", "private (unique local)", "ok"),
            ("fec0::1", "private (site-local)", "ok"),
            ("169.254.1.1", "metadata", "metadata"),
            ("169.254.170.2", "metadata", "metadata"),
            ("169.255.0.1", "ok", "ok"),
            ("::ffff:169.254.170.2", "metadata", "metadata"),
            ("64:ff9b::a9fe:aa02", "metadata", "metadata"),
            ("fe80::1", "metadata", "metadata"),
            ("febf::1", "metadata", "metadata"),
            ("fd00:ec2::23", "metadata", "metadata"),
            ("fd00:ec3::23", "private (unique local)", "ok"),
            ("fd20:ce::254", "metadata", "metadata"),
            ("fd20:ce::253", "private (unique local)", "ok"),
            ("100.100.100.200", "metadata", "metadata"),
            ("100.100.100.201", "shared (carrier-grade NAT)", "ok"),
            ("192.0.0.192", "metadata", "metadata"),
            ("168.63.129.16", "metadata", "metadata"),
            ("168.63.129.17", "ok", "ok"),
            ("100.63.255.255", "ok", "ok"),
            ("100.64.0.1", "shared (carrier-grade NAT)", "ok"),
            ("100.127.255.255", "shared (carrier-grade NAT)", "ok"),
            ("100.128.0.1", "ok", "ok"),
            ("0.0.0.0", "unspecified", "ok"),
            ("0.1.2.3", "unspecified", "ok"),
            ("::", "unspecified", "ok"),
            ("192.0.0.1", "special-purpose", "ok"),
            ("198.18.0.1", "special-purpose", "ok"),
            ("224.0.0.1", "multicast or reserved", "ok"),
            ("255.255.255.255", "multicast or reserved", "ok"),
            ("ff02::1", "multicast or reserved", "ok"),
            ("169.254.169.254", "metadata", "metadata"),
            ("::ffff:169.254.169.254", "metadata", "metadata"),
            ("fd00:ec2::254", "metadata", "metadata"),
            ("1.1.1.1", "ok", "ok"),
            ("2606:4700::1111", "ok", "ok"),
            ("::ffff:1.1.1.1", "ok", "ok"),
        ] {
            assert_eq!(check(Host::Name, address, false), name, "{address}");
            assert_eq!(check(Host::Name, address, true), private, "{address}, private");
            let literal = Host::Literal(address.parse().unwrap());
            assert_eq!(check(literal, address, false), "ok", "{address}, literal");
        }
        for (address, expected) in [
            ("127.0.0.1", "ok"),
            ("::1", "ok"),
            ("10.0.0.1", "private"),
            ("169.254.169.254", "metadata"),
        ] {
            assert_eq!(
                check(Host::Localhost, address, false),
                expected,
                "localhost is {address}"
            );
        }
    }

    #[test]
    fn hosts_are_told_apart() {
        assert_eq!(Host::of("LocalHost"), Host::Localhost);
        assert_eq!(Host::of("localhost."), Host::Name);
        assert_eq!(Host::of("10.0.0.1"), Host::Literal("10.0.0.1".parse().unwrap()));
        assert_eq!(Host::of("::1"), Host::Literal("::1".parse().unwrap()));
        // What only looks like an address is looked up, and what it leads to is looked at.
        assert_eq!((Host::of("0x7f.1"), Host::of("2130706433")), (Host::Name, Host::Name));
    }
}
