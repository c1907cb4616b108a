//! How many different values there are, from their hashes.

use datafusion::error::{DataFusionError, Result};
use datasketches::hll::{HllSketch, HllType, HllUnion};

/// 2^13 registers of a byte: a standard error of 1.04 / √8192, 1.2 %.
const LG_REGISTERS: u8 = 13;

/// A sketch of rows, or of sketches (HyperLogLog: Flajolet, Fusy, Gandouet, Meunier, 2007).
pub(super) enum Distinct {
    OfRows(HllSketch),
    Merged(HllUnion),
}

impl Distinct {
    pub(super) fn new() -> Result<Self> {
        HllSketch::new(LG_REGISTERS, HllType::Hll8).map(Self::OfRows).map_err(damaged)
    }

    /// What takes the hashes of rows.
    pub(super) fn sketch(&mut self) -> Result<&mut HllSketch> {
        match self {
            Self::OfRows(sketch) => Ok(sketch),
            Self::Merged(_) => Err(DataFusionError::Internal("rows after states".into())),
        }
    }

    /// What other rows have left, as [`Self::serialize`] gives it.
    pub(super) fn merge(&mut self, other: &[u8]) -> Result<()> {
        let other = HllSketch::deserialize(other).map_err(damaged)?;
        if let Self::OfRows(own) = self {
            let mut union = HllUnion::new(LG_REGISTERS).map_err(damaged)?;
            union.update(own);
            *self = Self::Merged(union);
        }
        if let Self::Merged(union) = self {
            union.update(&other);
        }
        Ok(())
    }

    pub(super) fn serialize(&self) -> Vec<u8> {
        match self {
            Self::OfRows(sketch) => sketch.serialize(),
            Self::Merged(union) => union.to_sketch(HllType::Hll8).serialize(),
        }
    }

    pub(super) fn estimate(&self) -> f64 {
        match self {
            Self::OfRows(sketch) => sketch.estimate(),
            Self::Merged(union) => union.estimate(),
        }
    }

    /// Bytes in memory, at most.
    pub(super) fn size(&self) -> usize {
        1 << LG_REGISTERS
    }
}

impl std::fmt::Debug for Distinct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Distinct({})", self.estimate())
    }
}

fn damaged(error: impl std::fmt::Display) -> DataFusionError {
    DataFusionError::Internal(format!("a sketch is damaged: {error}"))
}
