//! How the verbs print: aligned tables for people, JSON for programs.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

use serde::Serialize;

/// Prints a value as JSON.
///
/// # Errors
/// When it cannot be expressed as JSON.
pub fn print_json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    print_line(serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints rows below a header, columns aligned.
pub fn print_table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    let rows: Vec<Vec<String>> = rows.into_iter().collect();
    print_line(table(header, &rows).trim_end());
}

/// Prints a line. Ends the program quietly when nobody reads any more, as `| head` does.
pub fn print_line(line: impl Display) {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            eprintln!("peerway: cannot write to standard output: {error}");
            std::process::exit(1);
        }
        Ok(()) => {}
    }
}

/// Rows below a header, columns aligned, each line ended.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(|text| (*text).to_owned()).collect();
    let all = || std::iter::once(&header).chain(rows);
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            all()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in all() {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let rows = vec![
            vec!["1".into(), "long".into()],
            vec!["22".into(), "x".into()],
        ];
        assert_eq!(table(&["A", "B"], &rows), "A   B\n1   long\n22  x\n");
    }
}
