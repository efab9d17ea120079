//! How much memory records take, so that what holds many of them is bounded in bytes.

use super::{Ability, AllowedAddresses, PreviousSecret, RareFields, Revocation, TokenRecord};

/// No record takes more bytes.
const LARGEST: usize = 128 * 1_024;

/// How many bytes records may take in what holds so many of them: a KiB each, of which a plain record takes a third.
pub(crate) fn room_for(records: usize) -> usize {
    records.saturating_mul(1_024).max(LARGEST)
}

impl TokenRecord {
    /// About how many bytes the record takes in memory, at most. What several records share counts for each.
    pub(crate) fn weight(&self) -> usize {
        let abilities = self.abilities.as_set().unwrap_or_default();
        let reasons = self.revocation.iter().map(|it| (it.by.as_ref(), it.reason.as_ref()));
        let reasons = reasons.chain(self.suspension.iter().map(|it| (None, it.reason.as_ref())));
        let reasons = reasons.map(|(by, reason)| {
            size_of::<Revocation>()
                + by.map_or(0, |it| it.as_str().len())
                + reason.map_or(0, |it| it.as_str().len())
        });
        size_of::<Self>()
            + weight_of(abilities)
            + self.owner.as_str().len()
            + self.name.as_str().len()
            + reasons.sum::<usize>()
            + self.previous.as_ref().map_or(0, |_| size_of::<PreviousSecret>())
            + self.rare.as_ref().map_or(0, |rare| rare.weight())
    }
}

impl RareFields {
    fn weight(&self) -> usize {
        size_of::<Self>()
            + self.created_by.as_ref().map_or(0, |it| it.as_str().len())
            + self.allowed_addresses.as_ref().map_or(0, AllowedAddresses::weight)
            + self.metadata.as_json().len()
            // Nodes of a tree are not always full.
            + 2 * self.notices.len() * size_of::<u16>()
            + 2 * weight_of(&self.used_abilities)
            + self.idempotency_key.as_ref().map_or(0, |it| it.as_str().len())
    }
}

fn weight_of<'a>(abilities: impl IntoIterator<Item = &'a Ability>) -> usize {
    abilities.into_iter().map(|it| size_of::<Ability>() + it.as_str().len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{
        Abilities, Actor, IdempotencyKey, Metadata, Owner, Prefix, RateLimit, Reason, Suspension,
        Timestamp, TokenDigest, TokenId, TokenName,
    };

    /// A record in which all is as long as it may be.
    fn largest() -> TokenRecord {
        let text = |length: usize| "é".repeat(length / 2) + &"x".repeat(length % 2);
        let ability = |kind: &str, it: usize| format!("{kind}{it:0>99}");
        let mut record = TokenRecord::new(
            TokenId::from_u128(1),
            Prefix::new("acme").unwrap(),
            Owner::new(text(255)).unwrap(),
            TokenName::new("ci").unwrap(),
            TokenDigest::from_bytes([0; 32], None),
            Timestamp::MAX,
        );
        let actor = Some(Actor::new(text(255)).unwrap());
        let reason = Some(Reason::new(text(255)).unwrap());
        record.name = TokenName::new("\u{1F469}".repeat(100)).unwrap();
        record.abilities = Abilities::set((0..100).map(|it| ability("a", it))).unwrap();
        let at = record.created_at;
        record.revocation =
            Some(Box::new(Revocation { at, by: actor.clone(), reason: reason.clone() }));
        record.suspension = Some(Box::new(Suspension { since: at, until: None, reason }));
        record.previous = Some(Box::new(PreviousSecret::until(record.digest.clone(), at)));
        let networks = (0..100).map(|it| format!("2001:db8:{it}::/48"));
        record.rare = Some(Box::new(RareFields {
            created_by: actor,
            parent: Some(record.id),
            allowed_addresses: Some(AllowedAddresses::new(networks).unwrap()),
            rate_limit: Some(RateLimit::default()),
            metadata: Metadata::new(&serde_json::json!({ "": "x".repeat(4_089) })).unwrap(),
            notices: (0..1_000).collect(),
            used_abilities: (0..100).map(|it| Ability::new(ability("b", it)).unwrap()).collect(),
            idempotency_key: Some(IdempotencyKey::new("k".repeat(255)).unwrap()),
        }));
        record
    }

    #[test]
    fn each_text_and_each_list_has_its_weight() {
        type Part = (&'static str, fn(&mut TokenRecord), usize);
        let lighter: [Part; 5] = [
            ("metadata", |it| it.rare_mut().metadata = Metadata::default(), 4_000),
            ("used abilities", |it| it.rare_mut().used_abilities.clear(), 100 * 100),
            ("abilities", |it| it.abilities = Abilities::none(), 100 * 100),
            ("networks", |it| it.rare_mut().allowed_addresses = None, 100 * 17),
            ("rare fields", |it| it.rare = None, 4_000 + 100 * 100),
        ];
        for (part, remove, weight) in lighter {
            let mut record = largest();
            remove(&mut record);
            let difference = largest().weight() - record.weight();
            assert!(difference >= weight, "{part}: {difference}");
        }
    }

    #[test]
    fn a_record_weighs_what_it_takes_and_a_plain_one_little() {
        let largest = largest();
        let texts = 5 * 255 + 255 + 400 + 200 * 100 + 4_096;
        let fields = size_of::<TokenRecord>() + size_of::<RareFields>();
        let lists = 200 * size_of::<Ability>() + 100 * size_of::<ipnet::IpNet>() + 2_000;
        let weight = largest.weight();
        assert!((texts + fields + lists..LARGEST).contains(&weight), "{weight}");
        let plain = TokenRecord {
            revocation: None,
            suspension: None,
            previous: None,
            rare: None,
            ..largest
        };
        let plain = TokenRecord { abilities: Abilities::set(["a:b"]).unwrap(), ..plain };
        assert!(plain.weight() < 1_024, "{}", plain.weight());
    }
}
