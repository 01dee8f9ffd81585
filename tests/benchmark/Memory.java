import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * Memory of a process in MiB, as Linux tells it.
 *
 * @param resident all of its pages that are in memory, those of files included, which processes share
 * @param anonymous what is its own alone: heap, metaspace, code, stacks
 */
record Memory(double resident, double anonymous) {

    /** Whether this system tells; others than Linux do not. */
    static boolean isKnown() {
        return Files.exists(file(ProcessHandle.current().pid()));
    }

    /** The memory of a process of the same user. */
    static Memory of(long pid) {
        try {
            List<String> lines = Files.readAllLines(file(pid));
            return new Memory(mebibytes(lines, "Rss:"), mebibytes(lines, "Anonymous:"));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Path file(long pid) {
        return Path.of("/proc", Long.toString(pid), "smaps_rollup");
    }

    private static double mebibytes(List<String> lines, String name) {
        return lines.stream().filter(line -> line.startsWith(name)).mapToDouble(line -> Double.parseDouble(line.split(" +")[1]) / 1024)
                .findFirst().orElseThrow();
    }
}
