//! Where endpoints are, as text, the same for both of them: `FIRST/SECOND`, each `NAME[%INTERFACE][@NETNS]`.
//!
//! ```text
//! shm          a name under /dev/shm: ticks
//! udp          127.0.0.1:9001/127.0.0.1:9002: where each end listens
//! tcp          127.0.0.1:9001: where the first end listens; after the slash only the namespace of the second counts
//! multicast    239.1.1.1:9001%127.0.0.1/239.1.1.2:9001%127.0.0.1: the group each end sends to, and the interface by its address
//! packet, xdp  veth0@exchange/veth1@trader: the interface of each end
//! ```

use super::Failure;

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The one that makes what there is to make: the file, the listening socket.
    First,
    /// The one that finds it.
    Second,
}

impl End {
    /// The other one.
    pub fn other(self) -> End {
        match self {
            End::First => End::Second,
            End::Second => End::First,
        }
    }
}

/// One end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// A name, an interface, or an address with its port.
    pub name: String,
    /// The interface of a multicast group, by its address.
    pub interface: Option<String>,
    /// The network namespace, by its name under /run/netns; None for that of the process.
    pub netns: Option<String>,
}

/// Both ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    ends: [Place; 2],
}

impl Address {
    /// # Errors
    /// A text that is empty or has more than two ends.
    pub fn parse(text: &str) -> Result<Address, Failure> {
        let places: Vec<Place> = text.split('/').map(Place::parse).collect();
        let allowed = !places[0].name.is_empty() && places.len() <= 2;
        let wrong =
            || Failure::refused(format!("address '{text}'; allowed is FIRST/SECOND, each NAME[@NETNS]"));
        let first = places.first().filter(|_| allowed).ok_or_else(wrong)?.clone();
        let second = places.get(1).cloned().unwrap_or_else(|| first.clone());
        Ok(Address { ends: [first, second] })
    }

    /// Where an end is.
    pub fn at(&self, end: End) -> &Place {
        &self.ends[end as usize]
    }
}

impl Place {
    fn parse(text: &str) -> Place {
        let (rest, netns) = split(text, '@');
        let (name, interface) = split(rest, '%');
        Place { name: name.into(), interface, netns }
    }
}

fn split(text: &str, at: char) -> (&str, Option<String>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_read() {
        let address = Address::parse("239.1.1.1:9001%10.0.0.1@exchange/veth1").unwrap();
        let first = address.at(End::First);
        assert_eq!((first.name.as_str(), first.interface.as_deref()), ("239.1.1.1:9001", Some("10.0.0.1")));
        assert_eq!(first.netns.as_deref(), Some("exchange"));
        assert_eq!(address.at(End::Second), &Place { name: "veth1".into(), ..Place::default() });
    }

    #[test]
    fn one_end_stands_for_both() {
        let address = Address::parse("ticks").unwrap();
        assert_eq!(address.at(End::First), address.at(End::Second));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "@ns", "a/b/c"] {
            assert!(Address::parse(text).unwrap_err().to_string().contains("allowed is"), "{text}");
        }
    }
}
