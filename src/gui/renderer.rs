//! What draws the window, and what is tried when that fails.

use eframe::NativeOptions;

/// What draws the window. The first one is tried first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Renderer {
    /// Direct3D 12, on graphics hardware or on Windows' own software device.
    #[cfg(windows)]
    Wgpu,
    /// OpenGL 2 or later.
    Glow,
}

impl Renderer {
    /// The one that is tried first.
    pub const FIRST: Self = if let Some(&first) = Self::ALL.first() { first } else { Self::Glow };

    const ALL: &[Self] = &[
        #[cfg(windows)]
        Self::Wgpu,
        Self::Glow,
    ];

    /// The one to try when this one fails. A process has one event loop, so it is tried in a new process.
    pub fn next(self) -> Option<Self> {
        Self::ALL.iter().copied().skip_while(|other| *other != self).nth(1)
    }

    /// Its value for `--renderer`.
    pub const fn name(self) -> &'static str {
        match self {
            #[cfg(windows)]
            Self::Wgpu => "wgpu",
            Self::Glow => "glow",
        }
    }

    /// What it is to somebody who has to mend it.
    pub const fn title(self) -> &'static str {
        match self {
            #[cfg(windows)]
            Self::Wgpu => "Direct3D 12 (wgpu)",
            Self::Glow => "OpenGL (glow)",
        }
    }

    /// The window's options with this renderer.
    pub(super) fn choose(self, mut options: NativeOptions) -> NativeOptions {
        match self {
            #[cfg(windows)]
            Self::Wgpu => {
                options.renderer = eframe::Renderer::Wgpu;
                // A few lines and rectangles are no work for the second, hungry graphics card of a laptop.
                if let eframe::egui_wgpu::WgpuSetup::CreateNew(setup) = &mut options.wgpu_options.wgpu_setup {
                    setup.power_preference = wgpu::PowerPreference::LowPower;
                }
            }
            Self::Glow => options.renderer = eframe::Renderer::Glow,
        }
        options
    }
}
