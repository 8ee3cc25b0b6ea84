"""A table of a few rows that a notebook shows whole."""

import pandas as pd

from rnnkit.markup import table


class SmallTable(pd.DataFrame):
    """A table of a few rows. It is any other DataFrame, but a notebook shows its texts whole, its
    numbers with three digits, and no index.
    """

    @property
    def _constructor(self):
        return SmallTable

    def _repr_html_(self):
        if self.columns.nlevels > 1:
            return super()._repr_html_()
        return table(self.columns, self.itertuples(index=False), titled=False)
