//! The presentation written as files: text, Markdown, HTML, JSON, CSV and UMDH logs.

pub mod csv;
mod document;
pub mod file;
pub mod html;
pub mod json;
mod json_findings;
mod json_heaps;
mod json_modules;
mod json_outstanding;
mod json_series;
mod json_threads;
mod json_umdh;
pub mod text;
mod text_umdh;
pub mod umdh;
