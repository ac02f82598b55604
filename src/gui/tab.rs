//! The tabs of the window, in the order in which they stand.

/// One tab.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Tab {
    #[default]
    Overview,
    Regions,
    Heaps,
    Threads,
    Traces,
    Umdh,
    Findings,
    Symbols,
    Log,
}

impl Tab {
    pub const ALL: [Self; 9] = [
        Self::Overview,
        Self::Regions,
        Self::Heaps,
        Self::Threads,
        Self::Traces,
        Self::Umdh,
        Self::Findings,
        Self::Symbols,
        Self::Log,
    ];

    pub const fn title(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Regions => "Regions",
            Self::Heaps => "Heaps",
            Self::Threads => "Threads",
            Self::Traces => "Traces",
            Self::Umdh => "UMDH",
            Self::Findings => "Findings",
            Self::Symbols => "Symbols",
            Self::Log => "Log",
        }
    }

    /// What a tab will show that this version does not have yet; `None` for those that work.
    pub const fn coming(self) -> Option<&'static str> {
        match self {
            Self::Heaps => Some(
                "The process heaps as !heap -s lists them, over the series: reserved, committed, busy and free memory, and \
                 the blocks with their allocation stacks. The Regions tab already shows which memory belongs to each heap.",
            ),
            Self::Umdh => {
                Some("UMDH logs beside the dumps, on the same time axis, with their modules taken from the dumps.")
            }
            Self::Overview
            | Self::Regions
            | Self::Threads
            | Self::Traces
            | Self::Findings
            | Self::Symbols
            | Self::Log => None,
        }
    }
}
