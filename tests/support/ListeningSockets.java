import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.opentest4j.TestAbortedException;

/** What Linux tells of a process's sockets: {@code /proc/<pid>/fd} names them, {@code /proc/<pid>/net} describes them. */
final class ListeningSockets {

    private static final String LISTENING = "0A";
    private static final String ESTABLISHED = "01";

    private ListeningSockets() {
    }

    private record Entry(String table, int port, String state, String inode) {

        /** A line of {@code /proc/net/tcp}: number, local address, remote address, state and, as the tenth field, the inode. */
        static Entry parse(String table, String line) {
            String[] fields = line.strip().split("\\s+");
            return new Entry(table, Integer.parseInt(fields[1].replaceFirst(".*:", ""), 16), fields[3], fields[9]);
        }
    }

    /** Ports at which a process listens for TCP, or has a UDP socket. The test is skipped where there is no {@code /proc}. */
    static Set<Integer> of(long pid) {
        return entries(pid).filter(entry -> entry.table().startsWith("udp") || entry.state().equals(LISTENING)).map(Entry::port)
                .collect(Collectors.toSet());
    }

    /** How many TCP connections a process has. */
    static long connections(long pid) {
        return entries(pid).filter(entry -> entry.table().startsWith("tcp") && entry.state().equals(ESTABLISHED)).count();
    }

    private static Stream<Entry> entries(long pid) {
        Path process = Path.of("/proc", Long.toString(pid));
        if (!Files.isDirectory(process.resolve("fd"))) {
            throw new TestAbortedException("there is no " + process + "/fd");
        }
        Set<String> own = sockets(process.resolve("fd"));
        return Stream.of("tcp", "tcp6", "udp", "udp6").flatMap(table -> lines(process.resolve("net").resolve(table)).stream().skip(1)
                .map(line -> Entry.parse(table, line))).filter(entry -> own.contains(entry.inode()));
    }

    /** The inodes of the sockets among a process's open files, {@code socket:[123]}. */
    private static Set<String> sockets(Path descriptors) {
        try (Stream<Path> files = Files.list(descriptors)) {
            return files.map(ListeningSockets::target).filter(target -> target.startsWith("socket:["))
                    .map(target -> target.substring(8, target.length() - 1)).collect(Collectors.toSet());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String target(Path link) {
        try {
            return Files.readSymbolicLink(link).toString();
        } catch (IOException closedMeanwhile) {
            return "";
        }
    }

    private static List<String> lines(Path table) {
        try {
            return Files.exists(table) ? Files.readAllLines(table) : List.of();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
