package kcat

const usageText = `Usage: kcat <options> [file1 file2 .. | topic1 topic2 ..]]

What to do:
  -C | -P | -L | -Q   consume, produce, list metadata, query offsets by time
  -G <group>          consume in a group; the topics are the other words, ^ begins a pattern

Where:
  -b <host:port,..>   nodes to ask first
  -t <topic>          the topic; with -Q topic:partition:timestamp
  -p <partition>      the partition; -1 is any
  -X <property=value> a property of librdkafka; list shows those that are known, dump what is set
  -F <file>           a file of such properties; also KCAT_CONFIG and ~/.config/kcat.conf
  -m <seconds>        how long to wait for the cluster (default: 5)

Producing:
  -D <delimiter>      what ends a record (default: \n)      -K <delimiter>  what ends its key
  -k <key>            one key for all                       -H <name=value> a header
  -z <codec>          gzip, snappy, lz4 or zstd             -Z              what is empty is null
  -c <count>          end after so many                     -T              print what is sent
  -l                  the file has records, as standard input has; without it each file is a record

Consuming:
  -o <offset>         beginning, end, stored, a number, -number from the end, s@ and e@ with milliseconds
  -e                  end at the end                        -c <count>      end after so many
  -f <format>         %t topic %p partition %o offset %k key %K its length %s value %S its length
                      %R that in 4 bytes %T milliseconds %h headers %% and \n \t \r \xNN
  -J                  a line of JSON a record               -Z              null is NULL
  -s [key=|value=]<form>   bytes as numbers: b B h H i I q Q c s $ with < and > for the order
  -D, -K              what ends a record and a key          -u              write at once
  -E                  go on after errors

  -q says less, -v more; -V prints the version and -h this.
Not there: Avro and the schema registry (-r, -s avro), -d, -M, GSSAPI and OAUTHBEARER.
`
