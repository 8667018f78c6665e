//! A view on the terminal.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout};
use ratatui::style::{Style, Stylize};
use ratatui::text::Text;
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Table as Widget};

use super::view::{Table, View};

/// Draws `view`; `name` says of what. Tables that find no room are cut off at their end.
pub(super) fn draw(frame: &mut Frame<'_>, name: &str, view: &View) {
    let heights = view.tables.iter().map(|table| {
        // Title and heads.
        Constraint::Length(u16::try_from(table.rows.len() + 2).unwrap_or(u16::MAX))
    });
    let heading_lines = u16::try_from(view.heading.lines().count()).unwrap_or(1);
    let areas = std::iter::once(Constraint::Length(heading_lines + 1))
        .chain(heights)
        .chain([Constraint::Fill(1), Constraint::Length(1)]);
    let areas = Layout::vertical(areas).split(frame.area());
    frame.render_widget(Paragraph::new(view.heading.as_str()), areas[0]);
    for (table, area) in view.tables.iter().zip(areas.iter().skip(1)) {
        frame.render_widget(widget(table), *area);
    }
    if let Some(last) = areas.last() {
        frame.render_widget(Paragraph::new(format!("varpin top {name}   q quits")).dim(), *last);
    }
}

fn widget(table: &Table) -> Widget<'_> {
    let aligned = |column: usize| if column < table.texts { Alignment::Left } else { Alignment::Right };
    let row = |cells: Vec<&str>| -> Row<'_> {
        let cells = cells.into_iter().enumerate();
        Row::new(
            cells.map(|(column, cell)| Cell::from(Text::from(cell.to_owned()).alignment(aligned(column)))),
        )
    };
    let widths =
        table.widths().into_iter().map(|width| Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX)));
    let rows = table.rows.iter().map(|cells| row(cells.iter().map(String::as_str).collect()));
    Widget::new(rows.collect::<Vec<_>>(), widths)
        .column_spacing(2)
        .header(row(table.heads.clone()).style(Style::new().bold()))
        .block(Block::new().borders(Borders::TOP).title(table.title))
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::style::Modifier;

    use super::*;

    #[test]
    fn heading_tables_and_the_way_out_are_on_the_screen() {
        let table = |title, rows: &[&[&str]]| Table {
            title,
            heads: vec!["name", "count"],
            texts: 1,
            rows: rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect(),
        };
        let view = View {
            heading: "up 1.0 s".to_owned(),
            tables: vec![
                table("rings", &[&["a -> b", "1,024"]]),
                table("streams", &[&["S", "7"], &["T", "12"]]),
            ],
        };
        let mut terminal = Terminal::new(TestBackend::new(24, 12)).expect("it is only memory");
        terminal.draw(|frame| draw(frame, "r.sock", &view)).expect("it is only memory");
        let buffer = terminal.backend().buffer();
        let text = |y| (0..24).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        let screen: Vec<String> = (0..12).map(|y| text(y).trim_end().to_owned()).collect();
        assert_eq!(
            screen,
            [
                "up 1.0 s",
                "",
                "rings───────────────────",
                "name    count",
                "a -> b  1,024",
                "streams─────────────────",
                "name  count",
                "S         7",
                "T        12",
                "",
                "",
                "varpin top r.sock   q qu",
            ]
        );
        let is_bold = |y| buffer[(0, y)].modifier.contains(Modifier::BOLD);
        assert_eq!((0..12).filter(|&y| is_bold(y)).collect::<Vec<u16>>(), [3, 6], "the heads of the tables");
    }
}
