//! Pictures of the window: to a file, to the clipboard, or one at the end of an unattended start.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use eframe::egui;
use image::ImageEncoder;

/// What becomes of a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    File,
    Clipboard,
    /// Saved to the path that the start asked for; then the window closes.
    Unattended,
}

/// Pictures asked for and taken.
pub struct Screenshots {
    send: Sender<(Target, Arc<egui::ColorImage>)>,
    taken: Receiver<(Target, Arc<egui::ColorImage>)>,
    unattended: Option<Unattended>,
}

struct Unattended {
    path: PathBuf,
    /// Frames to let pass, so that tables have found their widths.
    frames_left: u32,
}

impl Screenshots {
    pub fn new(unattended: Option<PathBuf>) -> Self {
        let (send, taken) = channel();
        Self { send, taken, unattended: unattended.map(|path| Unattended { path, frames_left: 12 }) }
    }

    pub fn take(&self, ctx: &egui::Context, target: Target) {
        let (send, to_wake) = (self.send.clone(), ctx.clone());
        ctx.request_screenshot(move |picture| {
            // The window may be closing.
            drop(send.send((target, picture)));
            to_wake.request_repaint();
        });
    }

    /// The pictures taken since the last call.
    pub fn poll(&self) -> Vec<(Target, Arc<egui::ColorImage>)> {
        self.taken.try_iter().collect()
    }

    /// Counts frames of an unattended start once the series is open, and takes the picture in time.
    pub fn count_frame(&mut self, ctx: &egui::Context) {
        let Some(unattended) = &mut self.unattended else { return };
        ctx.request_repaint();
        unattended.frames_left = unattended.frames_left.saturating_sub(1);
        if unattended.frames_left == 1 {
            self.take(ctx, Target::Unattended);
        }
    }

    pub fn unattended_path(&self) -> Option<PathBuf> {
        self.unattended.as_ref().map(|unattended| unattended.path.clone())
    }
}

/// A picture that cannot be a PNG file.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    #[error("{width} x {height} pixels are too many")]
    TooLarge { width: usize, height: usize },
    #[error(transparent)]
    Encode(#[from] image::ImageError),
}

/// A picture as a PNG file.
pub fn to_png(picture: &egui::ColorImage) -> Result<Vec<u8>, PictureError> {
    let [width, height] = picture.size;
    let pixels: Vec<u8> = picture.pixels.iter().flat_map(|pixel| [pixel.r(), pixel.g(), pixel.b()]).collect();
    let (Ok(pixel_width), Ok(pixel_height)) = (u32::try_from(width), u32::try_from(height)) else {
        return Err(PictureError::TooLarge { width, height });
    };
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new(&mut bytes).write_image(
        &pixels,
        pixel_width,
        pixel_height,
        image::ExtendedColorType::Rgb8,
    )?;
    Ok(bytes)
}
