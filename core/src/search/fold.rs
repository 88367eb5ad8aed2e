//! Letters that count as the same: upper and lower case, with and without accents, wide and narrow.

/// The plain letters of the lower-case letters from U+00E0 to U+024F; `.` where there is none.
const LATIN: &str = "aaaaaa.ceeeeiiii.nooooo..uuuuy.y.a.a.a.c.c.c.c.d...e.e.e.e.e.g.g.g.g.h...i.i.i.i.....j.k..l.l.l.....n.n.n....\
    o.o.o...r.r.r.s.s.s.s.t.t...u.u.u.u.u.u.w.y..z.z.z..................................o..............u..............\
    ...............a.i.o.u.u.u.u.u..a.a.....g.k.o.o..j....g...n.a.....a.a.e.e.i.i.o.o.r.r.u.u.s.t...h.......a.e.o.o.o.\
    o.y............................";
/// The same from U+1E00 to U+1EFF.
const LATIN_ADDITIONAL: &str = ".a.b.b.b.c.d.d.d.d.d.e.e.e.e.e.f.g.h.h.h.h.h.i.i.k.k.k.l.l.l.l.m.m.m.n.n.n.n.o.o.o.o.p.p.r.r.r.r.s.s.s.s.s.t.t.\
    t.t.u.u.u.u.u.v.v.w.w.w.w.w.x.x.y.z.z.zhtwy.......a.a.a.a.a.a.a.a.a.a.a.a.e.e.e.e.e.e.e.e.i.i.o.o.o.o.o.o.o.o.o.o.\
    o.o.u.u.u.u.u.u.u.y.y.y.y......";
/// The same for Greek, from U+03AC to U+03CE.
const GREEK: &str = "αεηιυ.........................ιυουω";

/// Adds a character to a term as it is compared. Marks above and below add nothing.
pub(super) fn push(term: &mut String, c: char) {
    if c.is_ascii() {
        term.push(c.to_ascii_lowercase());
        return;
    }
    let c = narrow(c);
    for lower in c.to_lowercase().filter(|lower| !is_mark(*lower)) {
        match plain(lower) {
            Some(plain) => term.push(plain),
            None => match lower {
                'ß' => term.push_str("ss"),
                'æ' => term.push_str("ae"),
                'œ' => term.push_str("oe"),
                'þ' => term.push_str("th"),
                'ø' => term.push('o'),
                'đ' | 'ð' => term.push('d'),
                'ł' => term.push('l'),
                'ı' => term.push('i'),
                'ſ' => term.push('s'),
                'ς' => term.push('σ'),
                other => term.push(other),
            },
        }
    }
}

/// A combining mark that makes no word of its own, or a character that only joins or shapes others.
pub(super) fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{200b}'..='\u{200f}'
        | '\u{2060}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | '\u{feff}')
}

/// Wide Latin letters and digits have narrow twins.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

fn plain(c: char) -> Option<char> {
    let (table, first) = match c {
        '\u{e0}'..='\u{24f}' => (LATIN, 0xe0),
        '\u{1e00}'..='\u{1eff}' => (LATIN_ADDITIONAL, 0x1e00),
        '\u{3ac}'..='\u{3ce}' => return GREEK.chars().nth(u32::from(c) as usize - 0x3ac).filter(|plain| *plain != '.'),
        _ => return None,
    };
    let found = table.as_bytes().get((u32::from(c) - first) as usize)?;
    (*found != b'.').then(|| char::from(*found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        let mut term = String::new();
        text.chars().for_each(|c| push(&mut term, c));
        term
    }

    #[test]
    fn the_tables_cover_their_ranges() {
        assert_eq!((LATIN.len(), LATIN_ADDITIONAL.len()), (0x250 - 0xe0, 0x100));
        assert_eq!(GREEK.chars().count(), 0x3cf - 0x3ac);
    }

    #[test]
    fn case_accents_and_width_do_not_matter() {
        for (text, wanted) in [
            ("CAFÉ cafe\u{301} Ünïcode", "cafe cafe unicode"),
            ("Straße Œuvre Łódź İstanbul", "strasse oeuvre lodz istanbul"),
            ("Việt Nam ǅ ﬁ", "viet nam ǆ ﬁ"),
            ("ΟΔΌΣ οδός", "οδοσ οδοσ"),
            ("ＡＢＣ１２３", "abc123"),
            ("Ёлка Москва", "ёлка москва"),
            ("日本 がガ 한국", "日本 がガ 한국"),
        ] {
            assert_eq!(folded(text), wanted, "{text}");
        }
    }
}
