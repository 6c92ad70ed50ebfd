//! Writing XML replies.
//!
//! Entry point: [`Xml::document`].
//!
//! Invariant: all text is escaped, and characters that XML cannot carry are replaced.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use std::fmt::Display;

/// A document being written.
pub(crate) struct Xml(Writer<Vec<u8>>);

fn sanitized(text: &str) -> String {
    let forbidden = |c: char| (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}');
    if text.contains(forbidden) { text.replace(forbidden, "\u{fffd}") } else { text.to_owned() }
}

impl Xml {
    /// A whole document; `namespace` may be empty.
    pub(crate) fn document(root: &str, namespace: &str, fill: impl FnOnce(&mut Xml)) -> Vec<u8> {
        let mut xml = Self(Writer::new(Vec::new()));
        xml.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        let mut start = BytesStart::new(root);
        if !namespace.is_empty() {
            start.push_attribute(("xmlns", namespace));
        }
        xml.event(Event::Start(start));
        fill(&mut xml);
        xml.event(Event::End(BytesEnd::new(root)));
        xml.0.into_inner()
    }

    fn event(&mut self, event: Event<'_>) {
        // Writing to memory does not fail; were it to, the client would see a cut document, which it must bear anyway.
        if self.0.write_event(event).is_err() {
            self.0.get_mut().clear();
        }
    }

    /// `<name>…</name>` around what `fill` writes.
    pub(crate) fn node(&mut self, name: &str, fill: impl FnOnce(&mut Xml)) {
        self.event(Event::Start(BytesStart::new(name)));
        fill(self);
        self.event(Event::End(BytesEnd::new(name)));
    }

    /// `<name>value</name>`
    pub(crate) fn text(&mut self, name: &str, value: impl Display) {
        let value = sanitized(&value.to_string());
        self.node(name, |xml| xml.event(Event::Text(BytesText::new(&value))));
    }

    /// The same, or nothing at all if there is no value.
    pub(crate) fn maybe(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// `<name><item>…</item>…</name>`, the wrapper being there even for no item.
    pub(crate) fn list<T>(&mut self, name: &str, items: impl IntoIterator<Item = T>, mut fill: impl FnMut(&mut Xml, T)) {
        self.node(name, |xml| {
            for item in items {
                xml.node("item", |xml| fill(xml, item));
            }
        });
    }
}
