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
}
