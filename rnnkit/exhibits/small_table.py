"""A table of a few rows that a notebook or a page shows whole."""

import pandas as pd

from rnnkit.markup import markdown, table


class SmallTable(pd.DataFrame):
    """A table of a few rows. It is any other DataFrame, but a notebook shows its texts whole, its
    numbers with three digits, and no index.

    An exhibit that is a table in the paper is drawn as one; like a figure, it has an `alt` text.
    """

    alt = ""

    @property
    def _constructor(self) -> type:
        return type(self)

    def _repr_html_(self) -> str:
        if self.columns.nlevels > 1:
            return super()._repr_html_()
        return table(self.columns, self.itertuples(index=False), titled=False)

    def markdown(self) -> str:
        """The same table for a page of Markdown."""
        return markdown(self.columns, self.itertuples(index=False))
