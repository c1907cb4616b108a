//! Which datanode owns each bucket of the hash space.

use crate::{DatanodeId, message};

/// Virtual pieces of the hash space; a power of two, fixed for the life of a cluster.
pub const BUCKET_COUNT: usize = 4096;

/// A versioned assignment of every bucket to a datanode.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BucketMap {
    version: u64,
    owners: Vec<DatanodeId>,
}

impl BucketMap {
    /// Buckets dealt to `datanodes` in runs of (nearly) equal length.
    pub fn even(version: u64, datanodes: u32) -> Self {
        let count = datanodes.max(1) as usize;
        let owners =
            (0..BUCKET_COUNT).map(|b| DatanodeId((b * count / BUCKET_COUNT) as u32)).collect();
        Self { version, owners }
    }

    /// The map's version: it grows whenever a bucket changes hands.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The owner of each bucket, by bucket number.
    pub fn owners(&self) -> &[DatanodeId] {
        &self.owners
    }

    /// The owner of `bucket`; buckets beyond the last wrap around.
    pub fn owner(&self, bucket: u16) -> DatanodeId {
        self.owners[bucket as usize % BUCKET_COUNT]
    }

    /// The wire form: runs of equal owners.
    pub fn to_message(&self) -> message::BucketMap {
        let mut out = message::BucketMap { version: self.version, ..Default::default() };
        for owner in &self.owners {
            match (out.owners.last(), out.lengths.last_mut()) {
                (Some(last), Some(length)) if *last == owner.0 => *length += 1,
                _ => {
                    out.owners.push(owner.0);
                    out.lengths.push(1);
                }
            }
        }
        out
    }

    /// From the wire form; `None` unless the runs cover every bucket exactly once.
    pub fn from_message(message: &message::BucketMap) -> Option<Self> {
        let mut owners = Vec::with_capacity(BUCKET_COUNT);
        for (owner, length) in message.owners.iter().zip(&message.lengths) {
            if owners.len() + *length as usize > BUCKET_COUNT {
                return None;
            }
            owners.extend(std::iter::repeat_n(DatanodeId(*owner), *length as usize));
        }
        (owners.len() == BUCKET_COUNT).then_some(Self { version: message.version, owners })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_wire_and_is_even() {
        for datanodes in [1, 2, 3, 5, 7, 64] {
            let map = BucketMap::even(4, datanodes);
            assert_eq!(BucketMap::from_message(&map.to_message()).as_ref(), Some(&map));
            for dn in 0..datanodes {
                let owned = map.owners().iter().filter(|o| o.0 == dn).count();
                let fair = BUCKET_COUNT / datanodes as usize;
                assert!((fair..=fair + 1).contains(&owned), "dn{dn} owns {owned} of {datanodes}");
            }
        }
    }

    #[test]
    fn a_map_with_holes_is_refused() {
        let mut message = BucketMap::even(1, 3).to_message();
        message.lengths[0] -= 1;
        assert_eq!(BucketMap::from_message(&message), None);
        message.lengths[0] += 2;
        assert_eq!(BucketMap::from_message(&message), None);
    }
}
