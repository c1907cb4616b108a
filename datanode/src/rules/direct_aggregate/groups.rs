//! Which group a row is in: the codes of its keys, put together, are a place in a table.

use super::tables::GroupIds;

/// Groups of one table.
pub(super) const MAX_GROUPS: usize = 4096;
/// Bits of a place in the table, so that it stays in the processor's cache.
const MAX_BITS: u32 = 16;
const NONE: u16 = u16::MAX;
/// Key columns.
pub(super) const MAX_KEYS: usize = 3;

/// The keys' codes of a group; 0 is NULL.
pub(super) type Codes = [u32; MAX_KEYS];

/// Why rows find no group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// There are as many groups as may be.
    Groups,
    /// A key has too many values.
    Codes,
}

/// The groups so far.
#[derive(Debug)]
pub(super) struct GroupTable {
    /// Of each key's codes.
    bits: Vec<u32>,
    /// Groups by place.
    table: Vec<u16>,
    /// The codes of each group.
    groups: Vec<Codes>,
    places: Vec<u32>,
    ids: Vec<u16>,
}

impl GroupTable {
    /// For so many keys. Without any there is one group, whether there are rows or not.
    pub(super) fn new(keys: usize) -> Self {
        let mut table = Self {
            bits: vec![3; keys.min(MAX_KEYS)],
            table: Vec::new(),
            groups: Vec::new(),
            places: Vec::new(),
            ids: Vec::new(),
        };
        table.clear();
        table
    }

    /// Forgets all groups.
    pub(super) fn clear(&mut self) {
        self.groups.clear();
        if self.bits.is_empty() {
            self.groups.push(Codes::default());
        }
        self.index();
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// The codes of each group.
    pub(super) fn groups(&self) -> &[Codes] {
        &self.groups
    }

    /// Bytes of memory.
    pub(super) fn size(&self) -> usize {
        size_of_val(self.table.as_slice()) + size_of_val(self.groups.as_slice())
    }

    /// The groups of the rows that were looked up last.
    pub(super) fn ids(&self) -> GroupIds<'_> {
        if self.bits.is_empty() { GroupIds::One } else { GroupIds::Each(&self.ids) }
    }

    /// Looks up the groups of a chunk's rows, of which `codes` has the keys' codes, key by key; new
    /// ones where there were none. When a row finds no place, the groups are those from before.
    pub(super) fn look_up(&mut self, codes: &[Vec<u32>]) -> Result<(), Full> {
        if self.bits.is_empty() {
            return Ok(());
        }
        self.widen(codes)?;
        self.places.clear();
        for (key, (codes, bits)) in codes.iter().zip(&self.bits).enumerate() {
            if key == 0 {
                self.places.extend_from_slice(codes);
                continue;
            }
            for (place, code) in self.places.iter_mut().zip(codes) {
                *place = (*place << bits) | code;
            }
        }
        self.ids.clear();
        let table = self.table.as_slice();
        let group = |place: &u32| table.get(*place as usize).copied().unwrap_or(NONE);
        self.ids.extend(self.places.iter().map(group));
        if self.ids.iter().fold(0, |all, id| all | u16::from(*id == NONE)) != 0 {
            self.add_groups(codes)?;
        }
        Ok(())
    }

    fn add_groups(&mut self, codes: &[Vec<u32>]) -> Result<(), Full> {
        let before = self.groups.len();
        for (row, (place, id)) in self.places.iter().zip(&mut self.ids).enumerate() {
            let Some(entry) = self.table.get_mut(*place as usize) else { continue };
            if *entry == NONE {
                if self.groups.len() == MAX_GROUPS {
                    self.groups.truncate(before);
                    self.index();
                    return Err(Full::Groups);
                }
                *entry = self.groups.len() as u16;
                let mut group = Codes::default();
                for (code, codes) in group.iter_mut().zip(codes) {
                    *code = codes.get(row).copied().unwrap_or_default();
                }
                self.groups.push(group);
            }
            *id = *entry;
        }
        Ok(())
    }

    /// Gives each key as many bits as its codes need.
    fn widen(&mut self, codes: &[Vec<u32>]) -> Result<(), Full> {
        let needed =
            |codes: &Vec<u32>| u32::BITS - codes.iter().fold(0, |a, b| a | b).leading_zeros();
        let bits: Vec<u32> =
            codes.iter().zip(&self.bits).map(|(codes, bits)| needed(codes).max(*bits)).collect();
        if bits.iter().sum::<u32>() > MAX_BITS {
            return Err(Full::Codes);
        }
        if bits != self.bits {
            self.bits = bits;
            self.index();
        }
        Ok(())
    }

    /// Makes the table of the groups.
    fn index(&mut self) {
        self.table.clear();
        self.table.resize(1 << self.bits.iter().sum::<u32>().min(MAX_BITS), NONE);
        for (id, codes) in self.groups.iter().enumerate() {
            let place =
                codes.iter().zip(&self.bits).fold(0, |place, (code, bits)| (place << bits) | code);
            if let Some(entry) = self.table.get_mut(place as usize) {
                *entry = id as u16;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(table: &mut GroupTable, codes: &[Vec<u32>]) -> Result<Vec<u16>, Full> {
        table.look_up(codes)?;
        Ok(match table.ids() {
            GroupIds::One => vec![],
            GroupIds::Each(ids) => ids.to_vec(),
        })
    }

    #[test]
    fn a_group_keeps_its_number_while_codes_grow() {
        let mut table = GroupTable::new(2);
        let first = [vec![0, 1, 0, 7], vec![2, 2, 2, 0]];
        assert_eq!(ids(&mut table, &first), Ok(vec![0, 1, 0, 2]));
        assert_eq!(ids(&mut table, &[vec![7, 9], vec![0, 200]]), Ok(vec![2, 3]));
        assert_eq!(ids(&mut table, &first), Ok(vec![0, 1, 0, 2]));
        assert_eq!(table.groups()[3], [9, 200, 0]);
        assert_eq!(ids(&mut table, &[vec![1 << 9], vec![0]]), Err(Full::Codes));
        assert_eq!(ids(&mut table, &first), Ok(vec![0, 1, 0, 2]));
    }

    #[test]
    fn too_many_groups_are_refused_and_leave_nothing() {
        let mut table = GroupTable::new(1);
        let most: Vec<u32> = (0..MAX_GROUPS as u32 - 1).collect();
        assert_eq!(
            ids(&mut table, std::slice::from_ref(&most)).map(|ids| ids.len()),
            Ok(MAX_GROUPS - 1)
        );
        assert_eq!(ids(&mut table, &[vec![5000, 5001]]), Err(Full::Groups));
        assert_eq!(table.len(), MAX_GROUPS - 1);
        assert_eq!(ids(&mut table, &[vec![5001]]), Ok(vec![MAX_GROUPS as u16 - 1]));
        table.clear();
        assert_eq!(ids(&mut table, &[vec![5000]]), Ok(vec![0]));
    }

    #[test]
    fn without_keys_there_is_one_group() {
        let mut table = GroupTable::new(0);
        assert_eq!(ids(&mut table, &[]), Ok(vec![]));
        assert_eq!(table.len(), 1);
        table.clear();
        assert_eq!(table.len(), 1);
    }
}
