use std::net::{IpAddr, SocketAddr};

use crate::token::{AllowedAddresses, InvalidValue, Rule};

/// The proxies before a service, of which it believes what they say about the client's address.
///
/// Anybody can send `X-Forwarded-For`. What counts is what the trusted proxies have added: from its end on, addresses
/// of trusted proxies are passed over, and the first that is none is the client's.
///
/// ```
/// use keyfob::web::TrustedProxies;
///
/// let proxies = TrustedProxies::new(["10.0.0.0/8"])?;
/// let proxy = "10.0.0.1".parse().unwrap();
/// let client = proxies.client(proxy, [&b"6.6.6.6, 192.0.2.7, 10.0.0.2"[..]]);
/// assert_eq!(client, Some("192.0.2.7".parse().unwrap()));
///
/// let stranger = "192.0.2.9".parse().unwrap();
/// assert_eq!(proxies.client(stranger, [&b"6.6.6.6"[..]]), Some(stranger), "its header says nothing");
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, Debug)]
pub struct TrustedProxies(AllowedAddresses);

impl TrustedProxies {
    /// Takes addresses and networks in CIDR notation.
    ///
    /// # Errors
    /// [`InvalidValue`] names the rule that the list breaks.
    pub fn new<T: AsRef<str>>(networks: impl IntoIterator<Item = T>) -> Result<Self, InvalidValue> {
        let networks = AllowedAddresses::new(networks).map_err(Rule::from);
        networks.map(Self).map_err(|rule| rule.broken_by("trusted_proxies"))
    }

    /// The client's address: from that of the connection and the values of all `X-Forwarded-For` headers, in their
    /// order. `None` where a trusted proxy has passed on something that is no address, because then nobody knows it.
    #[must_use]
    pub fn client<'a>(
        &self,
        connection: IpAddr,
        forwarded_for: impl IntoIterator<Item = &'a [u8]>,
    ) -> Option<IpAddr> {
        let values: Vec<_> = forwarded_for.into_iter().collect();
        let mut hops = values.iter().rev().flat_map(|value| value.rsplit(|byte| *byte == b','));
        let mut address = connection;
        while self.0.contain(address) {
            match hops.next() {
                Some(hop) => address = read(hop)?,
                None => break,
            }
        }
        Some(address.to_canonical())
    }
}

/// An address, with a port or without.
fn read(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let with_port = || text.parse::<SocketAddr>().ok().map(|it| it.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(bracketed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_trusted_proxies_add_is_believed() {
        let proxies = TrustedProxies::new(["10.0.0.0/8", "2001:db8::/32"]).unwrap();
        for (connection, headers, expected) in [
            ("10.0.0.1", &["192.0.2.7"][..], Some("192.0.2.7")),
            ("10.0.0.1", &["6.6.6.6", "192.0.2.7,10.9.9.9"], Some("192.0.2.7")),
            ("10.0.0.1", &["192.0.2.7", "10.0.0.2"], Some("192.0.2.7")),
            ("10.0.0.1", &["6.6.6.6", "192.0.2.7", "10.0.0.2, 10.0.0.3"], Some("192.0.2.7")),
            ("10.0.0.1", &["10.0.0.2", "192.0.2.7"], Some("192.0.2.7")),
            ("10.0.0.1", &["192.0.2.7:4711"], Some("192.0.2.7")),
            ("10.0.0.1", &["[2a00::1]:4711"], Some("2a00::1")),
            ("10.0.0.1", &["[2a00::1]"], Some("2a00::1")),
            ("2001:db8::1", &["::ffff:192.0.2.7"], Some("192.0.2.7")),
            ("::ffff:10.0.0.1", &["192.0.2.7"], Some("192.0.2.7")),
            ("10.0.0.1", &[], Some("10.0.0.1")),
            ("10.0.0.1", &["10.0.0.2"], Some("10.0.0.2")),
            ("10.0.0.1", &["192.0.2.7, unknown"], None),
            ("10.0.0.1", &[""], None),
            ("192.0.2.1", &["unknown"], Some("192.0.2.1")),
        ] {
            let headers = headers.iter().map(|it| it.as_bytes());
            let client = proxies.client(connection.parse().unwrap(), headers);
            assert_eq!(client, expected.map(|it| it.parse().unwrap()), "{connection} {expected:?}");
        }
    }
}
