"""A terminal that remembers what stands on it, as far as rich uses one."""

import io
import re

_PART = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


class Terminal(io.StringIO):
    """A stream that is a terminal.

    Attributes:
        width: Its columns.
        lines: What stands on it now, from top to bottom; it is as high as needed.
        wrapped: Every text that ran into the right edge.
        hidden: Whether the cursor is.
    """

    encoding = "utf-8"

    def __init__(self, width=80):
        super().__init__()
        self.width, self.lines, self.wrapped, self.hidden = width, [""], [], False
        self.row = self.column = 0

    def isatty(self):
        return True

    def write(self, text):
        super().write(text)
        for codes, command, move, words in _PART.findall(text):
            if command:
                self._obey(codes, command)
            elif move == "\r":
                self.column = 0
            elif move == "\n":
                self.row, self.column = self.row + 1, 0
                self.lines += [""] * (self.row + 1 - len(self.lines))
            else:
                self._put(words)
        return len(text)

    def _put(self, words):
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + words + line[self.column + len(words) :]
        self.column += len(words)
        if self.column > self.width:
            self.wrapped.append(words)

    def _obey(self, codes, command):
        if command == "A":
            self.row -= int(codes or 1)
        elif command == "K" and codes == "2":
            self.lines[self.row] = ""
        elif codes == "?25":
            self.hidden = command == "l"
        elif command != "m":
            raise NotImplementedError(f"{codes}{command}")

    def kept(self):
        """Return the lines that are not empty."""
        return [line.rstrip() for line in self.lines if line.strip()]
