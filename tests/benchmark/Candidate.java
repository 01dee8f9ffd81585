import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A sidecar that is measured.
 *
 * @param name in tables and pictures
 * @param launcher starts it for a pod
 * @param program if it is a Java program on this JVM's class path, else empty
 */
record Candidate(String name, SidecarProcess.Launcher launcher, Optional<SidecarProcess.Program> program) {

    private static final Pattern NAMED = Pattern.compile("([\\w.-]{1,16})=(.*)");
    /** The JVM's settings in the image (Dockerfile) that a JDK has without preparation; older ones do not know all of them. */
    static final List<String> SETTINGS = List.of("-XX:+IgnoreUnrecognizedVMOptions", "-XX:+UseSerialGC", "-Xms4m", "-Xmn2m", "-Xmx24m",
            "-XX:MinHeapFreeRatio=10", "-XX:MaxHeapFreeRatio=20", "-XX:TrimNativeHeapInterval=60000", "-XX:+UseCompactObjectHeaders",
            "-XX:TieredStopAtLevel=1", "-XX:CompileThresholdScaling=6", "-XX:CompileCommand=quiet",
            "-XX:CompileCommand=exclude,jdk.internal.classfile.impl.StackMapGenerator::processBlock",
            "-XX:CompileCommand=exclude,jdk.internal.classfile.impl.StackCounter::*", "-XX:ReservedCodeCacheSize=12m",
            "-XX:-SegmentedCodeCache", "-Xss256k", "-XX:ActiveProcessorCount=2", "-XX:+UnlockDiagnosticVMOptions",
            "-XX:ArchiveRelocationMode=0", "-Dsun.misc.unsafe.memory.access=allow", "-Xlog:disable");

    /** This project's program. */
    static Candidate ours() {
        return ofClass("leader-labeler", "LeaderLabeler");
    }

    /** {@link BaselineLabeler}, on the same JVM with the same settings. */
    static Candidate baseline() {
        return ofClass("client-java", "BaselineLabeler");
    }

    private static Candidate ofClass(String name, String mainClass) {
        SidecarProcess.Program program = new SidecarProcess.Program(mainClass, SETTINGS);
        return new Candidate(name, SidecarProcess.of(program), Optional.of(program));
    }

    /**
     * Any program, by a template of its command: words, separated by spaces, in which placeholders stand for what differs. No shell runs
     * it, since signals have to reach the program itself. {@code NAME=} before it is its name, else that is the program's.
     *
     * @throws IllegalArgumentException if there is no such program; the message names flag, value and rule
     */
    static Candidate ofCommand(String template, String election, Timings timings) {
        Matcher named = NAMED.matcher(template);
        String command = named.matches() ? named.group(2) : template;
        List<String> words = Arrays.stream(command.split(" ")).filter(word -> !word.isEmpty()).toList();
        if (words.isEmpty() || !isProgram(words.getFirst())) {
            throw new IllegalArgumentException("--against: \"" + template + "\" must begin with a program that can be run");
        }
        Map<String, String> fixed = Map.of("{election}", election, "{lease-duration}", Config.show(timings.leaseDuration()),
                "{renew-deadline}", Config.show(timings.renewDeadline()), "{retry-period}", Config.show(timings.retryPeriod()));
        SidecarProcess.CommandLine line = (kubeconfig, namespace, pod) -> words.stream().map(word -> fill(fill(word, fixed),
                Map.of("{kubeconfig}", kubeconfig.toString(), "{namespace}", namespace, "{pod}", pod))).toList();
        String name = named.matches() ? named.group(1) : Path.of(words.getFirst()).getFileName().toString();
        return new Candidate(name, SidecarProcess.ofCommand(line), Optional.empty());
    }

    /** Makes its archive of classes, with rights that see that the pod for that does not exist. */
    void prepare(RealServer server) {
        program.ifPresent(java -> SidecarProcess.train(java, server.kubeconfig()));
    }

    private static String fill(String word, Map<String, String> values) {
        String filled = word;
        for (Map.Entry<String, String> value : values.entrySet()) {
            filled = filled.replace(value.getKey(), value.getValue());
        }
        return filled;
    }

    private static boolean isProgram(String word) {
        return word.contains("/") ? Files.isExecutable(Path.of(word)) : Arrays.stream(System.getenv("PATH").split(File.pathSeparator))
                .anyMatch(folder -> Files.isExecutable(Path.of(folder, word)));
    }

    @Override
    public String toString() {
        return name;
    }
}
