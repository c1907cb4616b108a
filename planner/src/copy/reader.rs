//! COPY's data to batches in one thread, whatever its format is.

use std::collections::VecDeque;

use kestrel_proto::Result;

use super::{Block, BlockEnd, Blocks, CopyBatch, CopyLayout, binary::BinaryReader};

/// Takes COPY data, cut anywhere.
pub struct CopyReader(Reader);

enum Reader {
    Records(Box<BlockReader>),
    Binary(Box<BinaryReader>),
}

struct BlockReader {
    layout: CopyLayout,
    blocks: Option<Blocks>,
    batches: VecDeque<CopyBatch>,
    has_ended: bool,
}

impl CopyReader {
    /// Of text or csv.
    pub fn records(layout: CopyLayout) -> Self {
        let blocks = Some(Blocks::new(&layout.table, &layout.format));
        let batches = VecDeque::new();
        Self(Reader::Records(Box::new(BlockReader { layout, blocks, batches, has_ended: false })))
    }

    /// Of binary data.
    pub fn binary(reader: BinaryReader) -> Self {
        Self(Reader::Binary(Box::new(reader)))
    }

    /// Is it binary data?
    pub fn is_binary(&self) -> bool {
        matches!(self.0, Reader::Binary(_))
    }

    /// More data.
    ///
    /// # Errors
    /// What is wrong with it. Rows before it may still be taken.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.0 {
            Reader::Records(reader) => {
                let blocks = reader.blocks.as_mut().map(|blocks| blocks.push(bytes));
                blocks.into_iter().flatten().try_for_each(|block| reader.read(&block))
            }
            Reader::Binary(reader) => reader.push(bytes),
        }
    }

    /// All data has come.
    ///
    /// # Errors
    /// As [`CopyReader::push`].
    pub fn finish(&mut self) -> Result<()> {
        match &mut self.0 {
            Reader::Records(reader) => {
                let last = reader.blocks.take().map(Blocks::finish);
                last.map_or(Ok(()), |block| reader.read(&block))
            }
            Reader::Binary(reader) => reader.finish(),
        }
    }

    /// The next rows that have been read, if there are any.
    ///
    /// # Errors
    /// XX000: the columns are of different lengths.
    pub fn take(&mut self) -> Result<Option<CopyBatch>> {
        match &mut self.0 {
            Reader::Records(reader) => Ok(reader.batches.pop_front()),
            Reader::Binary(reader) => reader.take(),
        }
    }
}

impl BlockReader {
    fn read(&mut self, block: &Block) -> Result<()> {
        if self.has_ended {
            return Ok(());
        }
        let read = self.layout.read(block)?;
        self.batches.extend(read.batch);
        self.has_ended = read.end != BlockEnd::Open;
        match read.end {
            BlockEnd::Open | BlockEnd::Ended => Ok(()),
            BlockEnd::Failed(error) => Err(error),
        }
    }
}
