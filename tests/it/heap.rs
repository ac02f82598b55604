//! Process heaps decoded: figures, blocks, damage.

mod real;
