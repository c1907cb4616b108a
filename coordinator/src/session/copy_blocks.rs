//! The client's COPY data on its way to rows: blocks are read side by side, and given back in order.

use std::{collections::VecDeque, sync::Arc, thread};

use kestrel_planner::copy::{Block, Blocks, CopyParser, ReadBlock};
use kestrel_proto::{ErrorReport, Result};
use tokio_util::task::AbortOnDropHandle;

/// Reads text or csv.
pub(super) struct BlockParsing {
    parser: Arc<CopyParser>,
    /// `None`: all data has come, or no more of it counts.
    blocks: Option<Blocks>,
    /// In the data's order.
    running: VecDeque<AbortOnDropHandle<Result<ReadBlock>>>,
    running_max: usize,
}

impl BlockParsing {
    /// Nothing has come yet.
    pub(super) fn new(parser: CopyParser) -> Self {
        let layout = &parser.layout;
        let blocks = Some(Blocks::new(&layout.table, &layout.format));
        let running_max = thread::available_parallelism().map_or(1, usize::from);
        Self { blocks, parser: Arc::new(parser), running: VecDeque::new(), running_max }
    }

    /// More data, cut anywhere: the blocks that are whole now.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Block> {
        self.blocks.as_mut().map(|blocks| blocks.push(bytes)).unwrap_or_default()
    }

    /// All data has come: the last block.
    pub(super) fn finish(&mut self) -> Option<Block> {
        self.blocks.take().map(Blocks::finish)
    }

    /// Nothing more counts.
    pub(super) fn end(&mut self) {
        self.blocks = None;
        self.running.clear();
    }

    /// Does more data count?
    pub(super) fn goes_on(&self) -> bool {
        self.blocks.is_some()
    }

    /// As many blocks are being read as there are threads?
    pub(super) fn is_full(&self) -> bool {
        self.running.len() >= self.running_max
    }

    /// Has a block read.
    pub(super) fn start(&mut self, block: Block) {
        let parser = Arc::clone(&self.parser);
        let task = tokio::task::spawn_blocking(move || parser.parse(&block));
        self.running.push_back(AbortOnDropHandle::new(task));
    }

    /// Waits for the first of those that are being read.
    pub(super) async fn next(&mut self) -> Option<Result<ReadBlock>> {
        let first = self.running.front_mut()?;
        let read = first.await.unwrap_or_else(|error| {
            Err(ErrorReport::internal(format!("a task that reads COPY's data was lost: {error}")))
        });
        self.running.pop_front();
        Some(read)
    }

    /// Where the next row of what has come is, as the CONTEXT of an error.
    pub(super) fn next_place(&mut self) -> Option<String> {
        self.blocks.as_mut().map(Blocks::next_place)
    }
}
