use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::{InvalidValue, Rule};

const MAX_NETWORKS: usize = 100;

/// From where a token may be used: 1 to 100 networks in CIDR notation.
///
/// ```
/// use keyfob::token::AllowedAddresses;
///
/// let office = AllowedAddresses::new(["192.0.2.0/24", "2001:db8::/32"])?;
/// assert!(office.contain("192.0.2.7".parse().unwrap()));
/// assert!(office.contain("::ffff:192.0.2.7".parse().unwrap()), "an IPv4-mapped address is the IPv4 address");
/// assert!(!office.contain("198.51.100.1".parse().unwrap()));
/// assert_eq!(AllowedAddresses::new(["::ffff:192.0.2.0/120"])?.iter().next().unwrap(), "192.0.2.0/24");
/// # Ok::<(), keyfob::InvalidValue>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedAddresses(Vec<IpNet>);

impl AllowedAddresses {
    /// Takes addresses and networks.
    ///
    /// # Errors
    /// [`InvalidValue`] names the rule that the list breaks.
    pub fn new<T: AsRef<str>>(networks: impl IntoIterator<Item = T>) -> Result<Self, InvalidValue> {
        let networks = networks.into_iter().take(MAX_NETWORKS + 1);
        let networks = networks.map(|text| read(text.as_ref())).collect::<Option<Vec<_>>>();
        let rule = match networks {
            None => Rule::NotANetwork,
            Some(networks) if networks.is_empty() => Rule::NoNetwork,
            Some(networks) if networks.len() <= MAX_NETWORKS => return Ok(Self(networks)),
            Some(_) => Rule::TooManyNetworks { max: MAX_NETWORKS },
        };
        Err(rule.broken_by("allowed_addresses"))
    }

    pub(super) fn weight(&self) -> usize {
        self.0.len() * size_of::<IpNet>()
    }

    /// Tells whether an address is in one of the networks.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Tells whether every address of `others` is in one of these networks. Networks that are only together as wide as
    /// one of the others don't count.
    #[must_use]
    pub fn cover(&self, others: &Self) -> bool {
        others.0.iter().all(|other| self.0.iter().any(|network| network.contains(other)))
    }

    /// The networks as text.
    pub fn iter(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }
}

/// The address is read as the standard library does: `010.0.0.0/8` could be meant in octal.
fn read(text: &str) -> Option<IpNet> {
    let address = text.split('/').next()?.parse::<IpAddr>().ok()?;
    let network = if text.contains('/') { text.parse().ok()? } else { IpNet::from(address) };
    Some(canonical(network))
}

/// A network of IPv4-mapped addresses ([RFC 4291 §2.5.5.2](https://www.rfc-editor.org/rfc/rfc4291#section-2.5.5.2)) is
/// that of the IPv4 addresses: those are what an address is taken for before it is looked up here.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else {
        return network;
    };
    let v4 = mapped.network().to_ipv4_mapped().zip(mapped.prefix_len().checked_sub(96));
    v4.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(network, IpNet::V4)
}
