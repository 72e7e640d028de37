"""Rows as text and as JSON."""


class Row:
    def __init__(self, name, title):
        self.name, self.title = name, title
        self.tables, self.bars, self.notes = [], [], []

    def bar(self, what, value, limit, at_least=False, least=None):
        """value and least: the ratio of medians and of minima; judged by medians."""
        self.bars.append({"what": what, "value": value, "of_minima": least, "limit": limit,
                          "sense": ">=" if at_least else "<=",
                          "met": bool(value >= limit if at_least else value <= limit)})

    def compare(self, what, above, below, limit, at_least=False):
        """A bar on above/below, two subjects; says so when one of them has no figures."""
        gone = [subject for subject in (above, below) if subject is None or not len(subject.samples)]
        if gone:
            self.notes.append(f"{what}: not judged, a side was not measured")
            return
        self.bar(what, above.samples.median() / below.samples.median(), limit, at_least,
                 above.samples.least() / below.samples.least())

    def subjects(self, subjects, base=None):
        """Adds the table of a comparison, and a note for each that failed."""
        lines = [["", "median ms", "least ms", "CPU ms", "x base", "x least", "rounds"]]
        for subject in subjects:
            if subject.failure:
                self.notes.append(f"{subject.name}: {subject.failure}")
            s = subject.samples
            if not len(s):
                continue
            ratio = ["", ""]
            if base is not None and len(base.samples):
                ratio = [f"{s.median() / base.samples.median():.2f}", f"{s.least() / base.samples.least():.2f}"]
            lines.append([subject.name + (f" ({subject.note})" if subject.note else ""), f"{s.median() * 1e3:.2f}",
                          f"{s.least() * 1e3:.2f}", f"{s.median_cpu() * 1e3:.2f}", *ratio, str(len(s))])
        self.tables.append(lines)

    def text(self):
        out = [f"== {self.name}: {self.title}"]
        for lines in self.tables:
            widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
            for line in lines:
                cells = [line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
                out.append("  " + "  ".join(cells).rstrip())
        for bar in self.bars:
            least = "" if bar["of_minima"] is None else f" (of minima: {bar['of_minima']:.2f})"
            sense = "at least" if bar["sense"] == ">=" else "at most"
            out.append(f"  {'met   ' if bar['met'] else 'missed'}  {bar['what']}: {bar['value']:.2f}{least}, "
                       f"bar: {sense} {bar['limit']:g}")
        out += [f"  note: {note}" for note in self.notes]
        return "\n".join(out) + "\n"

    def json(self):
        tables = [[dict(zip(["name"] + lines[0][1:], line)) for line in lines[1:]] for lines in self.tables]
        return {"row": self.name, "title": self.title, "tables": tables, "bars": self.bars, "notes": self.notes}
