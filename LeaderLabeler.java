///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 21+
//DEPS io.kubernetes:client-java:25.0.0
//DEPS io.kubernetes:client-java-extended:25.0.0
//DEPS info.picocli:picocli:4.7.7
//DEPS org.slf4j:slf4j-simple:2.0.17
//JAVAC_OPTIONS -XDignore.symbol.file -J-XX:TieredStopAtLevel=1
//RUNTIME_OPTIONS -Dsun.misc.unsafe.memory.access=allow -XX:+ExitOnOutOfMemoryError

import com.google.gson.*;
import com.google.gson.annotations.SerializedName;
import com.google.gson.reflect.TypeToken;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.kubernetes.client.custom.V1Patch;
import io.kubernetes.client.extended.event.EventType;
import io.kubernetes.client.extended.event.legacy.EventRecorder;
import io.kubernetes.client.extended.event.legacy.LegacyEventBroadcaster;
import io.kubernetes.client.openapi.*;
import io.kubernetes.client.openapi.apis.*;
import io.kubernetes.client.openapi.models.*;
import io.kubernetes.client.util.*;
import io.kubernetes.client.util.credentials.TokenFileAuthentication;
import java.io.*;
import java.net.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.time.*;
import java.time.format.DateTimeParseException;
import java.time.temporal.ChronoUnit;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import java.util.concurrent.locks.LockSupport;
import java.util.function.*;
import java.util.random.RandomGenerator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import okhttp3.*;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.event.Level;
import org.yaml.snakeyaml.error.MarkedYAMLException;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine;
import sun.misc.Signal;

/**
 * A Kubernetes sidecar that elects one leader among the pods of a group and labels it, so that an ordinary Service selector routes to the
 * leader only. The application is not changed.
 *
 * <p><b>What is guaranteed.</b> At no resourceVersion of the API server do two pods of a group carry {@code <leadership-label>: "true"},
 * even if processes freeze, lag, restart or crash, as long as no other program writes {@code "true"}. Two exceptions: after etcd is
 * restored from a backup, resourceVersions occur again, and a write based on the lost history can succeed until its sidecar notices the
 * restore; and two elections may share a leadership label of the user's choice ({@link Elector#isOurs}). In a planned hand-over the label
 * moves from the old leader to the new one in two requests, one directly after the other. After a crash it moves as soon as the lease has
 * expired.
 *
 * <p><b>Why.</b> Every pod write carries the resourceVersion of an observation. A write of {@code "true"}, and every fence of another pod,
 * in addition rests on an observation that is older than the leader's latest successful write of the Lease. Writes that only add missing
 * keys or take the own label off need no more, because they never write {@code "true"}. For pods that change too often for that, see
 * {@link Elector}.
 *
 * <p><b>What is not guaranteed.</b> Labels are routing, not fencing. An application that was leader may still be working when the next one
 * is labelled, and open connections survive a change of labels. Applications that need fencing use the epoch, which grows with every
 * leadership, as a token. It can only go back if etcd is restored from a backup.
 *
 * <p><b>How to read this file.</b> From top to bottom: the command line; {@link Config}, which holds every rule about settings; the values
 * ({@link Claim}, {@link Lease}, {@link Pod}, {@link ResourceVersion}); {@link Event}, {@link Reply}, {@link Effect}, {@link Status} and
 * {@link Statistics}, by which the elector talks to the rest; {@link Role}, {@link KnownLease}, {@link KnownGroup}, {@link Requests} and
 * {@link Counters}, its state; {@link Elector}, the whole algorithm as a pure state machine; {@link Sidecar}, the thread that drives it;
 * {@link Kubernetes}, which alone sends requests to the API server; {@link Environment}, {@link Kubeconfig} and {@link ExecPlugin}, which
 * find and authenticate the connection; and what people, probes and the application see: {@link RequiredAccess}, {@link PermissionCheck},
 * {@link RoleFile} and {@link HttpEndpoint}.
 */
@Command(name = "leader-labeler", sortOptions = false, usageHelpAutoWidth = true, versionProvider = LeaderLabeler.Versions.class,
        description = "Elects one leader among the pods of a group and labels it, so that a Service can select it.",
        footer = "%nEnvironment: POD_NAME, POD_NAMESPACE, POD_UID, KUBECONFIG", exitCodeListHeading = "%nExit codes%n",
        exitCodeList = {"0:stopped as asked", "1:failure", "2:bad usage", "3:--check found something missing"})
public final class LeaderLabeler implements Callable<Integer> {

    // ==== Command line ================================================================================================

    static final String VERSION = "1.0.0";
    /** Exit code after a stop that was asked for, or because the own pod is gone. */
    static final int OK = 0;
    /** Exit code for failures outside the program (API server, kubeconfig, port), and for its defects. */
    static final int FAILURE = 1;
    /** Exit code for invalid flags. */
    static final int USAGE = 2;
    /** Exit code of {@code --check} when something is missing. */
    static final int CHECK_FAILED = 3;

    @Option(names = "--election-name", paramLabel = "NAME", required = true, description = "Name of the group; an RFC 1035 label.")
    private String election;

    @Option(names = "--pod-name", paramLabel = "NAME", description = "This pod. Default: $$POD_NAME; outside a cluster else the host name.")
    private String pod;

    @Option(names = "--namespace", paramLabel = "NAME",
            description = "Its namespace. Default: $$POD_NAMESPACE, else the service account's, else the kubeconfig's.")
    private String namespace;

    @Option(names = "--leadership-label", paramLabel = "KEY",
            description = "Label that is \"true\" on the leader and \"false\" on the others. Default: <election-name>/is-leader.")
    private String leadershipLabel;

    @Option(names = "--participation-label", paramLabel = "KEY",
            description = "Label that is \"true\" on every participant. Default: <election-name>/participant.")
    private String participationLabel;

    @Option(names = "--lease-name", paramLabel = "NAME", description = "Name of the Lease. Default: <election-name>.")
    private String leaseName;

    @Option(names = "--lease-duration", paramLabel = "TIME", defaultValue = "15s", description = "How long followers wait after the last"
            + " observed renewal before they may acquire the Lease; whole seconds. Default: ${DEFAULT-VALUE}.")
    private String leaseDuration;

    @Option(names = "--renew-deadline", paramLabel = "TIME", defaultValue = "10s", description = "How long a leader that cannot renew still"
            + " reports itself as leader; less than lease-duration. Default: ${DEFAULT-VALUE}.")
    private String renewDeadline;

    @Option(names = "--retry-period", paramLabel = "TIME", defaultValue = "2s",
            description = "Time between two renewals; less than renew-deadline / 1.2. Default: ${DEFAULT-VALUE}.")
    private String retryPeriod;

    @Option(names = "--unready-grace", paramLabel = "TIME", description = "How long an unready leader keeps the lead while another"
            + " participant is Ready; 0s ignores readiness. Not used with --handover=after-exit. Default: lease-duration.")
    private String unreadyGrace;

    @Option(names = "--handover", paramLabel = "WHEN", defaultValue = "early",
            description = "When a terminating pod hands over: early (at once) or after-exit (after its application has exited; native"
                    + " sidecars only). Default: ${DEFAULT-VALUE}.")
    private String handover;

    @Option(names = "--deletion-cost", paramLabel = "COST", defaultValue = "100",
            description = "Value of the leader's annotation controller.kubernetes.io/pod-deletion-cost, so that a ReplicaSet that is"
                    + " scaled down deletes the leader last; 0 for none. Default: ${DEFAULT-VALUE}.")
    private String deletionCost;

    @Option(names = "--http-address", paramLabel = "ADDRESS", defaultValue = ":4040",
            description = "Where state, probes and metrics are served, [HOST]:PORT or off. Default: ${DEFAULT-VALUE}.")
    private String httpAddress;

    @Option(names = "--role-file", paramLabel = "PATH", description = "File that tells the application in the same pod who leads.")
    private Path roleFile;

    @Option(names = "--log-level", paramLabel = "LEVEL", defaultValue = "info",
            description = "error, warn, info, debug or trace. Default: ${DEFAULT-VALUE}.")
    private String logLevel;

    @Option(names = "--check", description = "Check permissions and settings, print what is missing as YAML to apply, and exit.")
    private boolean check;

    @Option(names = {"-h", "--help"}, usageHelp = true, description = "Show this help and exit.")
    private boolean help;

    @Option(names = {"-V", "--version"}, versionHelp = true, description = "Show versions and exit.")
    private boolean version;

    /** What {@code --version} shows: the program, the runtime and the libraries. */
    static final class Versions implements CommandLine.IVersionProvider {
        @Override
        public String[] getVersion() throws IOException {
            return new String[] {"leader-labeler " + VERSION, "Java " + Runtime.version(), library("io.kubernetes", "client-java"),
                library("io.kubernetes", "client-java-extended"), "picocli " + CommandLine.VERSION, library("org.slf4j", "slf4j-simple")};
        }

        /** Maven notes the version in each jar; a native executable keeps this file. */
        private static String library(String group, String name) throws IOException {
            Properties noted = new Properties();
            try (InputStream file = Versions.class.getResourceAsStream("/META-INF/maven/%s/%s/pom.properties".formatted(group, name))) {
                noted.load(file == null ? InputStream.nullInputStream() : file);
            }
            return name + " " + noted.getProperty("version", "of unknown version");
        }
    }

    /** Runs the sidecar and ends the process with one of the exit codes above. */
    public static void main(String... args) {
        // Not System.exit: there is nothing left to finish, and no thread of a library may keep the process from ending.
        Runtime.getRuntime().halt(run(args));
    }

    /** The same without ending the process: returns the exit code. Messages about bad input go to standard error, one line each. */
    static int run(String... args) {
        try {
            return new CommandLine(new LeaderLabeler())
                    .setParameterExceptionHandler((e, all) -> printError(e, USAGE))
                    .setExecutionExceptionHandler((e, command, parsed) -> printError(e, FAILURE))
                    .execute(args);
        } catch (Error broken) { // such as a class that a jar lacks; picocli handles exceptions only
            return printError(broken, FAILURE);
        }
    }

    private static int printError(Throwable e, int exitCode) {
        System.err.println("leader-labeler: " + firstLine(e.getMessage() == null || e instanceof Error ? e.toString() : e.getMessage()));
        return exitCode;
    }

    /** The first line of a text; empty if it has none. */
    static String firstLine(String text) {
        return text.lines().findFirst().orElse("");
    }

    @Override
    public Integer call() throws IOException {
        Environment environment;
        Config config;
        InetSocketAddress address;
        try {
            configureLogging(logLevel);
            environment = Environment.ofProcess();
            config = config(environment);
            address = HttpEndpoint.parse(httpAddress);
        } catch (IllegalArgumentException broken) {
            throw new ParameterException(new CommandLine(this), broken.getMessage());
        }
        Kubernetes kubernetes = Kubernetes.connect(config, environment);
        if (check) {
            return PermissionCheck.print(config, kubernetes, System.out);
        }
        try (RoleFile file = roleFile == null ? null : new RoleFile(roleFile)) {
            Sidecar sidecar = new Sidecar(config, kubernetes, file == null ? status -> { } : file::write);
            try (HttpEndpoint http = address == null ? null : new HttpEndpoint(address, config, sidecar, kubernetes)) {
                Sidecar.LOG.info("started version={} {} http-address={} role-file={} log-level={}", VERSION,
                        config.summary(), http == null ? "off" : http.address(), file == null ? "none" : roleFile, logLevel);
                AtomicBoolean stopping = new AtomicBoolean();
                for (String signal : List.of("TERM", "INT")) {
                    Signal.handle(new Signal(signal), s -> stop(sidecar, file, stopping));
                }
                return sidecar.run();
            }
        }
    }

    /** The first signal asks for a hand-over, a second one ends the process at once. A shutdown hook would not see the second. */
    private static void stop(Sidecar sidecar, RoleFile file, AtomicBoolean stopping) {
        if (stopping.getAndSet(true)) {
            if (file != null) {
                file.close();
            }
            Runtime.getRuntime().halt(OK);
        }
        sidecar.stop();
    }

    private Config config(Environment environment) throws IOException {
        Duration lease = Config.duration("--lease-duration", leaseDuration);
        String name = pod != null ? pod : environment.podName();
        return new Config(election, name, namespace != null ? namespace : environment.namespace(),
                leadershipLabel != null ? leadershipLabel : election + "/is-leader",
                participationLabel != null ? participationLabel : election + "/participant",
                leaseName != null ? leaseName : election,
                lease, Config.duration("--renew-deadline", renewDeadline), Config.duration("--retry-period", retryPeriod),
                Handover.parse(handover), unreadyGrace != null ? Config.duration("--unready-grace", unreadyGrace) : lease,
                Config.wholeNumber("--deletion-cost", deletionCost), environment.podUid(name));
    }

    /** Must be called before the first logger is created, because slf4j-simple reads its settings once. */
    private static void configureLogging(String level) {
        Config.rule("--log-level", level, level.matches("error|warn|info|debug|trace"), "must be error, warn, info, debug or trace");
        Locale.setDefault(Locale.ROOT); // else times and numbers have the digits and the calendar of the user's locale
        System.setProperty("org.slf4j.simpleLogger.showDateTime", "true");
        System.setProperty("org.slf4j.simpleLogger.dateTimeFormat", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX");
        System.setProperty("org.slf4j.simpleLogger.showThreadName", "false");
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "error");
        System.setProperty("org.slf4j.simpleLogger.log.leader-labeler", level);
        // Silence the event recorder: without Events the election still works.
        System.setProperty("org.slf4j.simpleLogger.log.io.kubernetes.client.extended.event", "off");
    }

}

// ==== Settings ========================================================================================================

/** When a terminating pod hands over. */
enum Handover {
    /** As soon as it is terminating: the next leader serves while this one drains. */
    EARLY,
    /**
     * After its application has exited, which a native sidecar learns from its own SIGTERM. Applications do not overlap in planned
     * terminations that finish within the grace period.
     */
    AFTER_EXIT;

    /** Throws IllegalArgumentException, whose message names the flag, for anything but {@code early} and {@code after-exit}. */
    static Handover parse(String text) {
        Config.rule("--handover", text, text.matches("early|after-exit"), "must be early or after-exit");
        return text.equals("early") ? EARLY : AFTER_EXIT;
    }

    /** As the flag names it. */
    @Override
    public String toString() {
        return this == EARLY ? "early" : "after-exit";
    }
}

/**
 * The settings of one sidecar. The constructor enforces every rule: it throws an IllegalArgumentException whose message names the flag, the
 * value and the rule. No component but {@code podUid} is null.
 *
 * @param deletionCost value of the annotation {@code controller.kubernetes.io/pod-deletion-cost} of a leader's pod; 0 for none
 * @param podUid uid of the own pod; null if the environment does not name it, so that the first GET by name decides
 */
record Config(String election, String pod, String namespace, String leadershipLabel, String participationLabel, String leaseName,
        Duration leaseDuration, Duration renewDeadline, Duration retryPeriod, Handover handover, Duration unreadyGrace,
        int deletionCost, String podUid) {

    private static final Pattern RFC_1035_LABEL = Pattern.compile("[a-z]([-a-z0-9]*[a-z0-9])?");
    private static final Pattern RFC_1123_LABEL = Pattern.compile("[a-z0-9]([-a-z0-9]*[a-z0-9])?");
    private static final Pattern RFC_1123_SUBDOMAIN = Pattern.compile("%1$s(\\.%1$s)*".formatted(RFC_1123_LABEL));
    private static final Pattern LABEL_NAME = Pattern.compile("[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?");
    private static final Pattern DEFAULT_KEY = Pattern.compile(RFC_1035_LABEL.pattern() + "/(is-leader|participant)");
    private static final Pattern DURATION_PART = Pattern.compile("(\\d+(?:\\.\\d*)?|\\.\\d+)(ns|us|µs|μs|ms|s|m|h)");
    private static final Map<String, Long> UNIT_NANOS = Map.of("ns", 1L, "us", 1_000L, "µs", 1_000L, "μs", 1_000L, "ms", 1_000_000L,
            "s", 1_000_000_000L, "m", 60_000_000_000L, "h", 3_600_000_000_000L);
    /** Annotation of a pod by which a ReplicaSet that is scaled down chooses: the lowest cost goes first. */
    static final String DELETION_COST = "controller.kubernetes.io/pod-deletion-cost";
    /** As in client-go: a retry may come this much later than its period. */
    private static final double JITTER_FACTOR = 1.2;

    Config {
        rule("--election-name", election, matches(RFC_1035_LABEL, election, 63),
                "must be an RFC 1035 label: at most 63 of a-z, 0-9 and '-', beginning with a letter, not ending with '-'");
        rule("--pod-name", pod, matches(RFC_1123_SUBDOMAIN, pod, 253), "must be the name of a pod: an RFC 1123 subdomain; or set POD_NAME");
        rule("--namespace", namespace, matches(RFC_1123_LABEL, namespace, 63),
                "must be the name of a namespace: an RFC 1123 label of at most 63 characters; or set POD_NAMESPACE");
        ruleOfLabel("--leadership-label", leadershipLabel, election);
        ruleOfLabel("--participation-label", participationLabel, election);
        rule("--participation-label", participationLabel, !participationLabel.equals(leadershipLabel),
                "must differ from --leadership-label");
        rule("--lease-name", leaseName, matches(RFC_1123_SUBDOMAIN, leaseName, 253),
                "must be an RFC 1123 subdomain of at most 253 characters");
        rule("--lease-duration", leaseDuration, leaseDuration.toNanosPart() == 0 && leaseDuration.toSeconds() >= 1
                && leaseDuration.compareTo(Duration.ofHours(1)) <= 0,
                "must be whole seconds, from 1s to 1h, because the Lease records integers");
        rule("--renew-deadline", renewDeadline, leaseDuration.compareTo(renewDeadline) > 0, "must be less than --lease-duration");
        rule("--retry-period", retryPeriod, retryPeriod.isPositive(), "must be more than 0s");
        rule("--retry-period", retryPeriod, renewDeadline.toNanos() > JITTER_FACTOR * retryPeriod.toNanos(),
                "must be less than --renew-deadline / " + JITTER_FACTOR);
        rule("--deletion-cost", deletionCost, deletionCost >= 0, "must not be negative");
    }

    /** The settings in one line, as {@code key=value}. */
    String summary() {
        return String.join(" ", "election=" + election, "pod=" + pod, "namespace=" + namespace, "lease=" + leaseName,
                "leadership-label=" + leadershipLabel, "participation-label=" + participationLabel,
                "lease-duration=" + show(leaseDuration), "renew-deadline=" + show(renewDeadline), "retry-period=" + show(retryPeriod),
                "handover=" + handover, "unready-grace=" + show(unreadyGrace),
                "deletion-cost=" + deletionCost, "pod-uid=" + (podUid == null ? "unknown" : podUid));
    }

    /** Annotation of a pod: the epoch of the leader that wrote its label last. */
    String epochAnnotation() {
        return election + "/epoch";
    }

    /** Annotation of a pod: the deletion cost that a leader of this election wrote, to tell it from that of another program. */
    String deletionCostAnnotation() {
        return election + "/deletion-cost";
    }

    /** Annotation of the Lease: the {@link Claim} of its holder. */
    String claimAnnotation() {
        return election + "/holder";
    }

    /** Annotation of the Lease: the name of the pod that is to lead whenever it can, for users to set. */
    String preferredLeaderAnnotation() {
        return election + "/preferred-leader";
    }

    /** How long one call to the API server may take: two of them fit into renew-deadline. */
    Duration callTimeout() {
        return renewDeadline.dividedBy(2);
    }

    /** How long a Retry-After is honoured: a longer one, which any load balancer can send, must not cost the lead or the watches. */
    Duration longestPause() {
        return renewDeadline.dividedBy(2);
    }

    /** Reads a duration of less than 365 days as Go writes it, not negative; IllegalArgumentException, whose message names {@code flag}. */
    static Duration duration(String flag, String text) {
        Matcher part = DURATION_PART.matcher(text);
        double nanos = 0;
        int end = 0;
        while (part.find() && part.start() == end) {
            nanos += Double.parseDouble(part.group(1)) * UNIT_NANOS.get(part.group(2));
            end = part.end();
        }
        boolean complete = text.equals("0") || end > 0 && end == text.length();
        rule(flag, text, complete && nanos < Duration.ofDays(365).toNanos(), "must be a duration such as 15s, 500ms or 1m30s");
        return Duration.ofNanos(Math.round(nanos));
    }

    /** Reads a whole number from 0 to 2147483647; throws IllegalArgumentException, whose message names {@code flag}. */
    static int wholeNumber(String flag, String text) {
        rule(flag, text, text.matches("[0-9]{1,10}") && Long.parseLong(text) <= Integer.MAX_VALUE,
                "must be a whole number from 0 to " + Integer.MAX_VALUE);
        return Integer.parseInt(text);
    }

    private static boolean matches(Pattern pattern, String text, int longest) {
        return text != null && text.length() <= longest && pattern.matcher(text).matches();
    }

    private static void ruleOfLabel(String flag, String key, String election) {
        int slash = key.indexOf('/');
        boolean validPrefix = slash < 0 || matches(RFC_1123_SUBDOMAIN, key.substring(0, slash), 253);
        rule(flag, key, validPrefix && matches(LABEL_NAME, key.substring(slash + 1), 63), "must be a label key: an optional prefix (a DNS"
                + " subdomain of at most 253 characters) and '/', then a name of at most 63 characters of A-Z, a-z, 0-9, '-', '_' and '.'");
        rule(flag, key, !DEFAULT_KEY.matcher(key).matches() || key.startsWith(election + "/"),
                "must not be a default label of another election, which would fight over it");
    }

    /** Throws IllegalArgumentException, whose message names the flag, its value (null if not given) and the rule, unless that is kept. */
    static void rule(String flag, Object value, boolean kept, String rule) {
        if (!kept) {
            String shown = value instanceof Duration duration ? show(duration) : value == null ? "(not given)" : "\"" + value + "\"";
            throw new IllegalArgumentException(flag + ": " + shown + " " + rule);
        }
    }

    /** A duration in the form in which the flags take it. */
    static String show(Duration duration) {
        return duration.toNanosPart() == 0 ? duration.toSeconds() + "s"
                : duration.toNanosPart() % 1_000_000 == 0 ? duration.toMillis() + "ms" : duration.toNanos() + "ns";
    }
}

// ==== Values: observations of the Lease and the pods, and the order of resourceVersions ===============================

/**
 * Who holds a Lease, as our annotation on it says: which <em>pod</em>, not only which name, and by which acquisition.
 *
 * @param pod name of the pod, equal to the Lease's {@code holderIdentity}
 * @param uid uid of that pod: a pod that was replaced under the same name is another holder
 * @param acquireTime tells this win from any other of the same pod
 * @param renewTime when it was last renewed; like acquireTime in whole microseconds, because that is what a Lease stores
 */
record Claim(String pod, String uid, Instant acquireTime, Instant renewTime) {

    /** Reads the annotation {@code <pod>/<uid>/<acquireTime>/<renewTime>}; null where it is absent ({@code text} null) or malformed. */
    static Claim parse(String text) {
        String[] parts = text == null ? new String[0] : text.split("/", -1);
        try {
            return parts.length == 4 ? new Claim(parts[0], parts[1], Instant.parse(parts[2]), Instant.parse(parts[3])) : null;
        } catch (DateTimeParseException malformed) {
            return null;
        }
    }

    /** The same claim for the next renewal. */
    Claim renewed(Instant time) {
        return new Claim(pod, uid, acquireTime, time);
    }

    /** Whether {@code other} (may be null) comes from the same win, renewed or not. */
    boolean isSameWin(Claim other) {
        return other != null && pod.equals(other.pod) && uid.equals(other.uid) && acquireTime.equals(other.acquireTime);
    }

    /** Whether {@code other} (may be null) is a later renewal of the same win. An older state that was restored does not qualify. */
    boolean isRenewedBy(Claim other) {
        return isSameWin(other) && renewTime.isBefore(other.renewTime);
    }

    @Override
    public String toString() {
        return pod + "/" + uid + "/" + acquireTime + "/" + renewTime;
    }
}

/**
 * One version of the Lease.
 *
 * @param version its {@code metadata.resourceVersion}
 * @param uid its {@code metadata.uid}: a Lease that was deleted and created again has another
 * @param holder {@code spec.holderIdentity}, empty if it is free
 * @param durationSeconds null if the Lease does not record it; likewise acquireTime and renewTime
 * @param transitions {@code spec.leaseTransitions}, 0 if the Lease does not record it
 * @param annotation our annotation, null if absent or malformed; see {@link #claim()}
 * @param preferred name of the pod that a user wants to lead; empty if none is named
 * @param origin the decoded object, carried along so that a PUT keeps what other people wrote there; null for a new one
 */
record Lease(String version, String uid, String holder, Integer durationSeconds, Instant acquireTime, Instant renewTime, int transitions,
        Claim annotation, String preferred, Object origin) {

    /**
     * The claim of the holder; null if the Lease is free or its annotation is stale. A client-go program keeps our annotation when it
     * acquires or renews the Lease, so the claim counts only while its pod, acquireTime and renewTime equal the record's.
     */
    Claim claim() {
        boolean agrees = annotation != null && annotation.pod().equals(holder) && annotation.acquireTime().equals(acquireTime)
                && annotation.renewTime().equals(renewTime);
        return agrees ? annotation : null;
    }

    boolean isHeld() {
        return !holder.isEmpty();
    }

    /** Whether holder and times are those of {@code other} (may be null), as far as a Lease without a claim can tell. */
    boolean hasTimesOf(Lease other) {
        return other != null && isHeld() && holder.equals(other.holder) && Objects.equals(acquireTime, other.acquireTime)
                && Objects.equals(renewTime, other.renewTime);
    }

    /** Whether holder, times, duration and annotation are those of {@code other} (may be null): a webhook may set the times. */
    boolean hasSameRecord(Lease other) {
        return other != null && uid.equals(other.uid) && holder.equals(other.holder) && Objects.equals(annotation, other.annotation)
                && Objects.equals(durationSeconds, other.durationSeconds) && Objects.equals(acquireTime, other.acquireTime)
                && Objects.equals(renewTime, other.renewTime);
    }

    /**
     * The record with which {@code claim}'s pod acquires or keeps this Lease. Transitions count changes of the holder, as in client-go;
     * after the largest number that the API takes they begin again. {@code durationSeconds} is at most an hour, so that it fits an int.
     */
    Lease heldBy(Claim claim, long durationSeconds) {
        int changes = holder.equals(claim.pod()) ? transitions : transitions == Integer.MAX_VALUE ? 0 : transitions + 1;
        return new Lease(version, uid, claim.pod(), (int) durationSeconds, claim.acquireTime(), claim.renewTime(), changes, claim,
                preferred, origin);
    }

    /** The record that frees this Lease, as client-go writes it: no holder, one second, transitions kept; our annotation removed. */
    Lease released(Instant time) {
        return new Lease(version, uid, "", 1, time, time, transitions, null, preferred, origin);
    }
}

/**
 * One version of a pod, reduced to what an election asks of it.
 *
 * @param leadership value of the leadership label, null where the key is missing; so for {@code participation} and {@code epoch}
 * @param ready whether its Ready condition is true
 * @param terminating whether it has a deletionTimestamp
 * @param finished whether its phase is Succeeded or Failed: it will never run again
 * @param created its creationTimestamp, which has whole seconds; EPOCH if absent
 * @param deletionCost its annotation {@link Config#DELETION_COST}, null if absent
 * @param ownDeletionCost the cost that a leader of this election wrote there, null if none did; another value is another program's
 * @param revision of the template that it was made from, {@code pod-template-hash} or {@code controller-revision-hash}; null if absent
 */
record Pod(String name, String uid, String version, String leadership, String participation, String epoch, boolean ready,
        boolean terminating, boolean finished, Instant created, String deletionCost, String ownDeletionCost, String revision) {

    private static final String ANNOUNCED = " announced";

    /** What a leader writes as the epoch of its own pod to announce that it will label it: see {@link Elector}. */
    static String announcement(String epoch) {
        return epoch + ANNOUNCED;
    }

    /** Whether a leader has announced that it will label this pod, and nobody has fenced it since. */
    boolean isAnnounced() {
        return epoch != null && epoch.endsWith(ANNOUNCED);
    }

    boolean isLabelled() {
        return "true".equals(leadership);
    }

    boolean hasAllKeys() {
        return leadership != null && participation != null && epoch != null;
    }

    boolean isAlive() {
        return !terminating && !finished;
    }

    /**
     * What a write has to do to the deletion cost of a pod that is, or is not, to lead: the cost to write, empty to remove it, null to
     * leave it alone. What another program wrote there is never touched. {@code cost} 0 is for none.
     */
    String deletionCostFor(boolean leads, int cost) {
        boolean isOwn = ownDeletionCost != null && ownDeletionCost.equals(deletionCost);
        if (deletionCost != null && !isOwn) {
            return null;
        }
        return leads && cost > 0 ? Integer.toString(cost) : isOwn ? "" : null;
    }
}

/**
 * Resource versions are decimal numbers that grow (KEP-5504). The order tells stale observations from new ones, and which pods have changed
 * since the LIST. Only versions of pods, or of the Lease, are compared with each other.
 */
final class ResourceVersion {

    private ResourceVersion() {}

    /** Neither is null or begins with a zero, as the API server writes them. */
    static boolean isNewer(String version, String than) {
        return version.length() != than.length() ? version.length() > than.length() : version.compareTo(than) > 0;
    }
}

// ==== What the elector is told, and what it wants done ================================================================

/** Something that happened to this sidecar. */
sealed interface Event {

    /** The watch (or, where watching is impossible, its poll) showed this version of the Lease. */
    record LeaseUpdated(Lease lease) implements Event {}

    /** The watch showed that the Lease does not exist; {@code version} is that of its deletion, or of the list that lacks it. */
    record LeaseDeleted(String version) implements Event {}

    /** The watch of the group began (again): these pods have the leadership key at {@code version}, and no others. */
    record PodsListed(List<Pod> pods, String version) implements Event {}

    /** The watch of the group showed this version of a pod. */
    record PodUpdated(Pod pod) implements Event {}

    /** A pod left the watched group at {@code version}: it was deleted, or it lost the leadership key. */
    record PodRemoved(String name, String version) implements Event {}

    /** The answer to a request. Every request gets exactly one, within a bounded time. */
    record Replied(Effect.Request request, Reply reply) implements Event {}

    /** The process was asked to stop (SIGTERM). */
    record Stop() implements Event {}

    /** The time that {@link Elector#wakeAt} named has come. */
    record Tick() implements Event {}
}

/** What the API server answered. */
sealed interface Reply {

    /** 200 or 201 with a Lease. */
    record LeaseReply(Lease lease, boolean created) implements Reply {}

    /** 200 with a pod. */
    record PodReply(Pod pod) implements Reply {}

    /** 200 with all pods that have the leadership key at {@code version}. */
    record PodListReply(List<Pod> pods, String version) implements Reply {}

    /** 404. */
    record NotFound() implements Reply {}

    /** 409: nothing was written, the object is not what the request rested on. */
    record Conflict() implements Reply {}

    /** Any other answer or none: whether a write was executed, or will be, is unknown. Not to be tried again within {@code pauseNanos}. */
    record Failed(String why, long pauseNanos) implements Reply {}

    /** The request was not sent, because its time had passed: the process was frozen or starved. */
    record NotSent() implements Reply {}
}

/** An action that the elector requests. */
sealed interface Effect {

    /** A call to the API server. {@code sequence} is its place in the elector's order of readings and requests, and so its identity. */
    sealed interface Request extends Effect {
        long sequence();
    }

    /** GET of the Lease. */
    record GetLease(long sequence) implements Request {}

    /** POST of a Lease that nobody holds. */
    record CreateLease(long sequence) implements Request {}

    /** PUT of {@code lease} on the version <em>and uid</em> that it carries; not sent after {@code notAfter} (elector nanoseconds). */
    record PutLease(long sequence, Lease lease, long notAfter) implements Request {

        /** The first field by which others know the holder, and for how long, that the answer {@code made} has otherwise; null if none. */
        String rewrittenField(Lease made, Config config) {
            return !Objects.equals(lease.durationSeconds(), made.durationSeconds()) ? "leaseDurationSeconds"
                    : !Objects.equals(lease.acquireTime(), made.acquireTime()) ? "acquireTime"
                    : !Objects.equals(lease.renewTime(), made.renewTime()) ? "renewTime"
                    : !Objects.equals(lease.claim(), made.claim()) ? "the annotation " + config.claimAnnotation() : null;
        }
    }

    /** A consistent LIST of all pods that have the leadership key: no resourceVersion, no limit, no cache. */
    record ListPods(long sequence) implements Request {}

    /** GET of a pod; {@code suspectUid} is the uid of the holder that is suspected to be gone, else null. */
    record GetPod(long sequence, String name, String suspectUid) implements Request {}

    /**
     * Merge patch of a pod's two labels and annotation on the version that was read; a null value leaves its key alone.
     * Not sent after {@code notAfter}, in the elector's nanoseconds.
     *
     * @param deletionCost the deletion cost to write; empty to remove it, null to leave it alone
     * @param healing whether it undoes the change of another program, for the statistics
     */
    record PatchPod(long sequence, String name, String version, String leadership, String participation, String epoch,
            String deletionCost, boolean healing, long notAfter) implements Request {

        /** The first key that the answer {@code made} to this patch does not have as written; null if it has all. */
        String rewrittenKey(Pod made, Config config) {
            return leadership != null && !leadership.equals(made.leadership()) ? config.leadershipLabel()
                    : participation != null && !participation.equals(made.participation()) ? config.participationLabel()
                    : epoch != null && !epoch.equals(made.epoch()) ? config.epochAnnotation() : null;
        }
    }

    /** The state that people and probes may see has changed. */
    record Publish(Status status) implements Effect {}

    /** A Kubernetes Event on the Lease, whose uid is null if it is not known. */
    record RecordEvent(String leaseUid, String message) implements Effect {}

    /** One line for the person on call. */
    record Log(Level level, String line) implements Effect {}

    /**
     * Contention: another program undoes this program's writes to the pod of that name, or to the Lease (null), until the request budget is
     * spent. The line is to be logged with the name of that program.
     */
    record WarnOfContention(String pod, String line) implements Effect {}

    /** The watches are half-open: begin them again. */
    record RestartWatches() implements Effect {}

    /** This sidecar ends, with an exit code of {@link LeaderLabeler}. */
    record Exit(int code, String why) implements Effect {}
}

/**
 * The published state, for probes, metrics and the role file.
 *
 * @param leader name of the pod that holds the Lease, empty if nobody does
 * @param preferred name of the pod that the Lease's annotation names as the preferred leader, empty if it names none
 * @param leading whether this pod leads: it won the Lease, is labelled, and renewed within renew-deadline
 * @param leadsUntil until when {@code leading} may be believed, in the elector's nanoseconds; 0 while it does not lead
 * @param epoch fencing token of this pod's leadership, {@code "0"} while it does not lead
 * @param since when {@code leader} was last seen to change, by the own wall clock; null until a holder was seen
 * @param participants names of the group's pods
 * @param registered whether the own pod has got its labels
 */
record Status(String leader, String preferred, String self, boolean leading, long leadsUntil, String epoch, Instant since,
        List<String> participants, boolean registered, Statistics statistics) {

    boolean isLeading(long now) {
        return leading && now < leadsUntil;
    }
}

/**
 * Counts, times and durations of one elector, in its nanoseconds; 0 for never.
 *
 * @param transitions changes of the holder that were seen
 * @param leaseChangedAt when the Lease was last seen to change
 * @param renewedAt when this pod's last successful renewal was sent
 * @param handover how long it took from a Lease without holder to the own label, the last time
 * @param takeover how long it took from a Lease that expired, or whose holder was gone, to the own label, the last time
 * @param patches answers to pod writes: ok, conflict, missing, failed, unsent
 * @param healed pod writes that undid the change of another program
 */
record Statistics(long transitions, long leaseChangedAt, long renewedAt, long handover, long takeover, Map<String, Long> patches,
        long healed) {}

// ==== What the elector knows and does: its role, the observed Lease, the observed group, the requests under way =======

/** What a sidecar is doing. Each role holds the state that is valid only in that role. Times are nanoseconds of {@link Elector#on}. */
sealed interface Role {

    /** Another participant leads, or none: wait until the Lease is free and, by rank, it is this pod's turn. */
    record Following() implements Role {}

    /** The Lease is free: list the group at the Lease's version, then write the Lease on that version. */
    final class Acquiring implements Role {
        /** Version of the Lease for which the group was last asked for; null before the first LIST. */
        String listSentFor;
        /** Version of the Lease for which the group was listed; null before the first answer. */
        String listedFor;
        /** Version of that list. */
        String listVersion;
        /** The PUT under way: only the success of this one is a win. Null before it is sent. */
        Effect.PutLease attempt;
        /** When the Lease became free, and whether because it was released. Valid with {@code attempt}. */
        long freeSince;
        boolean wasReleased;

        /** Whether this is the PUT under way, by which the Lease is won. */
        boolean isAttempt(Effect.PutLease put) {
            return attempt != null && attempt.sequence() == put.sequence();
        }
    }

    /** The Lease was won: fence the others, promote the own pod, renew, heal. */
    final class Leading implements Role {
        /** Version of the Lease that the win made: the fencing token. */
        final String epoch;
        /** The list that preceded the win, and since when the Lease had been free. */
        final Acquiring won;
        /** Name of the pod that held the Lease before; empty if none is known. */
        final String previous;
        final long wonAt;
        /** What the latest PUT that is known to have succeeded wrote, and the version that it made. */
        Claim claim;
        String version;
        /** Sequence of the latest successful PUT: only observations before it may be written on. */
        long writableBefore;
        /** When the latest successful PUT was sent. */
        long renewedAt;
        /** Whether the own pod has been observed labelled with this epoch: the win was reported. */
        boolean promoted;
        /** Whether the latest write to the own pod was an announcement, and failed: {@code true} is tried next. */
        boolean announcementFailed;
        /** Whether the renew deadline has passed: this was logged. */
        boolean overdue;

        Leading(Acquiring won, String epoch, String previous, long wonAt) {
            this.epoch = epoch;
            this.won = won;
            this.previous = previous;
            this.wonAt = wonAt;
            this.claim = won.attempt.lease().claim();
            this.version = epoch;
        }
    }

    /** The lead ends: release the Lease, then wait until a successor fences the own pod, or take the label off. */
    final class Releasing implements Role {
        final Reason reason;
        final long since;
        /** Whether a lead that was reported has ended, and this has not been. */
        boolean owesStoppedEvent;
        /** When the Lease was first seen not to be held by this pod, or to have expired; NEVER before. */
        long releasedAt = Elector.NEVER;

        Releasing(Reason reason, long since, boolean owesStoppedEvent) {
            this.reason = reason;
            this.since = since;
            this.owesStoppedEvent = owesStoppedEvent;
        }
    }

    /** The sidecar has ended. */
    record Ended() implements Role {}

    /** Why a lead, or a label without a lead, is given up. */
    enum Reason {
        /** SIGTERM, or the own pod is terminating. */
        STOPPING("stopping"),
        /** The own pod is labelled, and the Lease has not been held for a lease-duration. */
        NOBODY_LEADS("nobody leads"),
        /** The own pod is not Ready while another participant is. */
        UNREADY("not ready"),
        /** The own pod could not be labelled for a lease-duration. */
        UNLABELLED("not labelled"),
        /** The Lease is offered to the preferred leader. */
        PREFERRED("another leader is preferred");

        private final String text;

        Reason(String text) {
            this.text = text;
        }

        @Override
        public String toString() {
            return text;
        }
    }
}

/**
 * The newest observation of the Lease. {@link #observe} alone writes the record and its time. Times are nanoseconds of the own monotonic
 * clock; the times that the Lease records are for people, and never compared with a clock.
 */
final class KnownLease {

    /** A recorded lease duration above this is ignored as a manual edit. */
    private static final int LONGEST_DURATION_SECONDS = 3600;
    /** More failures than there are in a minute, after which an API server gives up a request, if retry-period is 0.7 s or more. */
    private static final int MOST_ATTEMPTS = 100;

    private final long leaseDuration;
    private final long retryPeriod;
    private final LongSupplier sequence;
    private boolean known;
    private Lease lease;
    private String version = "0";
    /** Place of the observation in the order of observations and requests. */
    private long observedSequence;
    private long changedAt;
    private long renewedAt;
    private long renewalInterval;
    private String previousHolder = "";
    private Instant holderSince;
    private long holderChangedAt;
    private long preferredChangedAt;
    private long transitions;
    private String goneUid;
    private long goneAt;
    private String foundUid;
    private long foundAt;
    /** Whether a GET has to decide what the Lease is, because a write may or may not have been executed. Until then nothing is written. */
    private boolean mustBeRead;
    /** Claim of the first observation, null if there was none: if it is of the own pod, a predecessor in this pod has made it. */
    private Claim firstClaim;
    /** What this process last wrote, and what it tried to write: they tell its claims from those of another process for the same pod. */
    private Lease ownLease;
    private Claim ownClaim;
    private final Deque<Lease> attempts = new ArrayDeque<>();
    private long lastEventAt;
    /** Since when a reply is known that is newer than what the watch shows; NEVER if there is none. */
    private long watchBehindSince = Elector.NEVER;

    KnownLease(Config config, LongSupplier sequence, long now) {
        this.sequence = sequence;
        leaseDuration = config.leaseDuration().toNanos();
        retryPeriod = config.retryPeriod().toNanos();
        renewalInterval = retryPeriod;
        lastEventAt = now;
    }

    /**
     * Takes in an observation unless a newer one is known.
     *
     * @param seen null if the Lease does not exist at {@code seenVersion}
     */
    void observe(Lease seen, String seenVersion, long now, Instant wallClock) {
        if (!known || ResourceVersion.isNewer(seenVersion, version)) {
            write(seen, seenVersion, now, wallClock);
        }
    }

    /**
     * A request that was sent at this place in the order found no Lease. Such an answer has no version, and proves something only about the
     * time after its request was sent: where the Lease was observed since, the answer may be stale, and a GET has to decide.
     */
    void observeMissing(long requestSequence, long now, Instant wallClock) {
        if (known && observedSequence > requestSequence) {
            mustBeRead = true;
        } else if (lease != null || !known) {
            write(null, version, now, wallClock);
        }
    }

    /**
     * Whether a reply to the request at this place contradicts what was observed before: it is older, or another record of the same
     * version. Then the API server's history was rewritten.
     */
    boolean isContradictedBy(Lease reply, long requestSequence) {
        boolean differs = version.equals(reply.version()) && !reply.hasSameRecord(lease);
        return known && observedSequence < requestSequence && (differs || isOlder(reply.version()));
    }

    /** Whether a version is older than the observed one. */
    boolean isOlder(String other) {
        return ResourceVersion.isNewer(version, other);
    }

    /** History was rewritten: nothing that was observed counts any more. */
    void forget() {
        known = false;
        lease = null;
        version = "0";
        goneUid = null;
        mustBeRead = false;
        watchBehindSince = Elector.NEVER;
    }

    /** Only a change of the record restarts the expiry timer: a touch of other metadata says nothing about the holder. */
    private void write(Lease seen, String seenVersion, long now, Instant wallClock) {
        boolean restarts = !known || (seen == null ? isHeld() : !seen.hasSameRecord(lease) && (isHeld() || seen.isHeld()));
        String holder = seen == null ? "" : seen.holder();
        if (isHeld()) {
            previousHolder = lease.holder();
            if (restarts && holder.equals(previousHolder)) {
                renewalInterval = Math.clamp(now - changedAt, retryPeriod, Math.max(retryPeriod, recordedDuration() / 5));
            }
        }
        if (!holder.equals(holder())) {
            holderSince = wallClock;
            holderChangedAt = now;
            transitions++;
        }
        if (!preferred().equals(seen == null ? "" : seen.preferred())) {
            preferredChangedAt = now;
        }
        if (!known) {
            firstClaim = seen == null ? null : seen.claim();
        }
        boolean isRenewal = seen != null && claim() != null && claim().isRenewedBy(seen.claim());
        renewedAt = isRenewal ? now : restarts ? 0 : renewedAt;
        known = true;
        lease = seen;
        version = seenVersion;
        observedSequence = sequence.getAsLong();
        changedAt = restarts ? now : changedAt;
    }

    /** The watch has shown something: it is alive. */
    void eventReceived(long now) {
        lastEventAt = now;
        watchBehindSince = Elector.NEVER;
    }

    /** A reply has this version; the watch should show it soon. */
    void replyReceived(String replyVersion, long now) {
        if (ResourceVersion.isNewer(replyVersion, version)) {
            watchBehindSince = Math.min(watchBehindSince, now);
        }
    }

    void setMustBeRead(boolean mustBeRead) {
        this.mustBeRead = mustBeRead;
    }

    /** This process tries to write this record. A write whose answer was lost may be executed after the next one was sent. */
    void attempted(Lease put) {
        attempts.addLast(put);
        if (attempts.size() > MOST_ATTEMPTS) {
            attempts.removeFirst();
        }
    }

    /** A GET has proved that no pod of this uid runs any more: a Lease with its claim is free, for good, since uids are never reused. */
    void holderIsGone(String uid, long now) {
        goneUid = uid;
        goneAt = now;
    }

    /** A GET has found the holder's pod, of this uid, which the watch does not show; null once the watch shows it. */
    void holderIsFound(String uid, long now) {
        foundUid = uid;
        foundAt = now;
    }

    /** When a GET of the holder's pod, of this uid, may be worth it. */
    long askForHolderAt(String uid) {
        return uid.equals(foundUid) ? foundAt + leaseDuration : 0;
    }

    /** The observed Lease; null while it is unknown or does not exist. */
    Lease get() {
        return lease;
    }

    boolean isKnown() {
        return known;
    }

    boolean mustBeRead() {
        return mustBeRead;
    }

    boolean isHeld() {
        return lease != null && lease.isHeld();
    }

    /** Name of the holder; empty if there is none. */
    String holder() {
        return lease == null ? "" : lease.holder();
    }

    /** Claim of the holder; null if the Lease is not held, or by a program without a claim. */
    Claim claim() {
        return isHeld() ? lease.claim() : null;
    }

    /** Whether the Lease names this very pod: not only its name, which a successor in a StatefulSet shares, but its uid. */
    boolean namesPod(String pod, String uid) {
        return claim() != null && claim().pod().equals(pod) && claim().uid().equals(uid);
    }

    /**
     * Whether this process holds the Lease, or a predecessor of it in the same pod does: the container was restarted. A claim of the own
     * pod that appears later is that of a second process for the same pod.
     */
    boolean isHeldBySelf(String pod, String uid) {
        if (!isHeld() || !lease.holder().equals(pod) || claim() != null && !namesPod(pod, uid)) {
            return false;
        }
        return isAsWritten() || attempts.stream().anyMatch(lease::hasTimesOf)
                || claim() != null && (claim().isSameWin(firstClaim) || claim().isSameWin(ownClaim));
    }

    /** A PUT with this claim made this Lease: its times prove who holds it even where a webhook has changed them or stripped the claim. */
    void written(Claim claim, Lease made) {
        ownClaim = claim;
        ownLease = made;
        attempts.clear(); // they rested on older versions
    }

    /**
     * Whether the record is the latest that this process is known to have written, perhaps with other metadata. Where a webhook gives all
     * Leases the same times, another claim tells those of a second process.
     */
    boolean isAsWritten() {
        return isHeld() && lease.hasTimesOf(ownLease)
                && (lease.annotation() == null || lease.annotation().equals(ownLease.annotation()));
    }

    boolean isGone(String uid) {
        return uid.equals(goneUid);
    }

    /** Name of the pod that holds the Lease, or held it last; empty if none was observed. */
    String lastHolder() {
        return isHeld() ? lease.holder() : previousHolder;
    }

    /** The holder before the last change of holders; empty if none was observed. */
    String previousHolder() {
        return previousHolder;
    }

    /** When the holder was last observed to change, by the own wall clock. */
    Instant holderSince() {
        return holderSince;
    }

    /** The same by the monotonic clock; 0 before the first change. */
    long holderChangedAt() {
        return holderChangedAt;
    }

    /** Name of the pod that the annotation prefers as the leader; empty if none is named. */
    String preferred() {
        return lease == null ? "" : lease.preferred();
    }

    /** When {@link #preferred} was last observed to change; 0 before the first change. */
    long preferredChangedAt() {
        return preferredChangedAt;
    }

    long transitions() {
        return transitions;
    }

    /** When the record was last observed to change. */
    long changedAt() {
        return changedAt;
    }

    /** When the observed record was first seen, if it renewed the one before; 0 for another win, or an older record written back. */
    long renewedAt() {
        return renewedAt;
    }

    /** When the Lease became, or becomes, free: it is not held, its holder is gone, or it was not renewed for its recorded duration. */
    long freeAt() {
        if (!isHeld()) {
            return changedAt;
        }
        return claim() != null && isGone(claim().uid()) ? goneAt : expiresAt();
    }

    /** When the holder's recorded duration ends. */
    long expiresAt() {
        return changedAt + recordedDuration();
    }

    /** The holder's duration counts, so mixed settings work. Null, or more than an hour, is a manual edit: it must not end the election. */
    private long recordedDuration() {
        Integer seconds = lease == null ? null : lease.durationSeconds();
        return seconds == null || seconds > LONGEST_DURATION_SECONDS ? leaseDuration : TimeUnit.SECONDS.toNanos(seconds);
    }

    /** When the watch has been silent for two renewals: perhaps nobody renews, perhaps the connection is half-open. */
    long silentAt() {
        return lastEventAt + 2 * renewalInterval;
    }

    /** When the watch has missed what replies show for two renewals; NEVER if it has not. */
    long watchIsStaleAt() {
        return watchBehindSince == Elector.NEVER ? Elector.NEVER : watchBehindSince + 2 * renewalInterval;
    }

    void watchRestarted() {
        watchBehindSince = Elector.NEVER;
    }
}

/**
 * A version of a pod.
 *
 * @param sequence its place in the order of observations and requests: when this process came to know it
 * @param readinessSince since when the pod has been observed Ready, or not Ready, without a change between; nanoseconds
 */
record Observation(Pod pod, long sequence, long readinessSince) {}

/** The newest observation of each pod that has the leadership key; never replaced by an older one. */
final class KnownGroup {

    private final String self;
    private final LongSupplier sequence;
    private final Map<String, Observation> pods = new TreeMap<>();
    /** Names of pods whose observation is known to be stale: they are read again, and not written to before. */
    private final Set<String> stale = new TreeSet<>();
    /** Versions at which pods left the group, while a reply that was answered before may still arrive. */
    private final Map<String, String> removed = new TreeMap<>();
    private boolean known;
    private String uid;
    private boolean wasOwnPodRead;
    /** The newest list of the whole group, and the place of that observation: no other pod with the leadership key is as old. */
    private String listed = "0";
    private long listedSequence;
    /** The newest version of any pod or list that was observed, and the place of that observation. */
    private String newest = "0";
    private long newestSequence;
    private boolean anotherBecameReady = true;
    /** What the watch has shown of each pod, as far back as there is no gap. */
    private final Map<String, Watched> watched = new HashMap<>();

    /** Each version of a pod from the one that was observed at {@code sequence} to {@code version} has this label and epoch. */
    private record Watched(String leadership, String epoch, long sequence, String version) {}

    /** {@code sequence} gives each observation its place. */
    KnownGroup(Config config, LongSupplier sequence) {
        this.self = config.pod();
        this.uid = config.podUid();
        this.sequence = sequence;
    }

    /**
     * Takes in a list of the whole group, unless a newer one is known. Pods that are missing and not newer than the list have left the
     * group: returns these.
     */
    List<Pod> observe(List<Pod> seen, String version, long now) {
        if (ResourceVersion.isNewer(listed, version)) {
            return List.of();
        }
        Set<String> names = seen.stream().map(Pod::name).collect(Collectors.toSet());
        List<Pod> left = new ArrayList<>();
        for (Pod last : all().filter(pod -> !names.contains(pod.name())).toList()) {
            if (observeRemoved(last.name(), version)) {
                left.add(last);
            }
        }
        seen.forEach(pod -> observe(pod, now));
        known = true;
        long place = sequence.getAsLong();
        noteVersion(version, place);
        listed = version;
        listedSequence = place;
        return left;
    }

    private void noteVersion(String version, long place) {
        if (ResourceVersion.isNewer(version, newest)) {
            newest = version;
            newestSequence = place;
        }
    }

    /**
     * Whether a list that was requested at this place contradicts what was observed before, as a whole or in one of its pods: history was
     * rewritten. Newer events may have been observed since, so each pod counts, also one that is not listed.
     */
    boolean isContradictedBy(List<Pod> listed, String version, long requestSequence) {
        return newestSequence < requestSequence && ResourceVersion.isNewer(newest, version)
                || pods.values().stream()
                        .anyMatch(o -> o.sequence() < requestSequence && ResourceVersion.isNewer(o.pod().version(), version))
                || listed.stream().anyMatch(pod -> isContradictedBy(pod, requestSequence));
    }

    /** The same for the reply to a GET or PATCH of one pod: it is older, or differs at the same version. */
    boolean isContradictedBy(Pod reply, long requestSequence) {
        Observation last = pods.get(reply.name());
        return last != null && last.sequence() < requestSequence && (ResourceVersion.isNewer(last.pod().version(), reply.version())
                || last.pod().version().equals(reply.version()) && !last.pod().equals(reply));
    }

    /** History was rewritten: nothing that was observed counts any more. */
    void forget() {
        pods.clear();
        stale.clear();
        removed.clear();
        watched.clear();
        known = false;
        listed = "0";
        newest = "0";
    }

    /** Takes in an observation unless a newer one of that name, or a newer removal, is known. */
    void observe(Pod seen, long now) {
        Observation last = pods.get(seen.name());
        // A pod that left at the version that it has now is not deleted: it has lost the leadership key.
        if (last != null ? !ResourceVersion.isNewer(seen.version(), last.pod().version())
                : ResourceVersion.isNewer(removed.getOrDefault(seen.name(), "0"), seen.version())) {
            return;
        }
        boolean isReadinessNew = last == null || last.pod().ready() != seen.ready() || !last.pod().uid().equals(seen.uid());
        anotherBecameReady |= !isSelf(seen.name()) && seen.ready() && isReadinessNew;
        long place = sequence.getAsLong();
        pods.put(seen.name(), new Observation(seen, place, isReadinessNew ? now : last.readinessSince()));
        stale.remove(seen.name());
        noteVersion(seen.version(), place);
    }

    /** The watch has begun anew by a list: versions may be missing before it. */
    void watchInterrupted() {
        watched.clear();
    }

    /** The watch, which leaves out no version of a pod while it shows that at all, has shown the next one of this pod. */
    void watchShowed(Pod seen) {
        Watched last = watched.get(seen.name());
        boolean isSame = last != null && Objects.equals(last.leadership(), seen.leadership()) && Objects.equals(last.epoch(), seen.epoch());
        long since = isSame ? last.sequence() : sequence.getAsLong();
        watched.put(seen.name(), new Watched(seen.leadership(), seen.epoch(), since, seen.version()));
    }

    /** The watch no longer shows this pod. */
    void watchLost(String name) {
        watched.remove(name);
    }

    /**
     * Whether each version of this pod since before that place has had the same leadership label and epoch. Only the watch can tell; for a
     * version that it has not shown the answer is false.
     */
    boolean isSameSince(long place, Pod pod) {
        Watched last = watched.get(pod.name());
        return last != null && last.version().equals(pod.version()) && last.sequence() < place;
    }

    /** Whether a pod that a request of that place in the order has found is missing from a list that is newer, and was observed later. */
    boolean hasLeft(Pod found, long requestSequence) {
        return !pods.containsKey(found.name()) && found.leadership() != null && requestSequence < listedSequence
                && ResourceVersion.isNewer(listed, found.version());
    }

    /** A pod has left the watched group at this version. Returns false, and removes nothing, if a newer observation is known. */
    boolean observeRemoved(String name, String version) {
        Observation last = pods.get(name);
        if (last != null && ResourceVersion.isNewer(last.pod().version(), version)) {
            return false;
        }
        pods.remove(name);
        removed.put(name, version);
        noteVersion(version, sequence.getAsLong());
        return true;
    }

    /** Forgets the removal of pods about which no reply is under way any more. */
    void forgetRemoved(Predicate<String> isUnderWay) {
        removed.keySet().removeIf(isUnderWay.negate());
    }

    /**
     * A GET that was sent at this place in the order did not find the pod. That proves something only about the time after it was sent:
     * where the pod was observed since, the answer may be stale, and another GET has to decide. Returns whether the pod is gone.
     */
    boolean observeMissing(String name, long requestSequence) {
        Observation last = pods.get(name);
        if (last != null && last.sequence() > requestSequence) {
            stale.add(name);
            return false;
        }
        pods.remove(name);
        return true;
    }

    /** Forgets the other pods that have no leadership key: nobody watches them. */
    void forgetUnwatched() {
        pods.values().removeIf(o -> !isSelf(o.pod().name()) && o.pod().leadership() == null);
    }

    /** The own pod's uid, by which it differs from another pod of its name. */
    void setUid(String uid) {
        this.uid = uid;
    }

    /** The own pod has been read by name: its uid is that of a pod that existed. */
    void ownPodRead() {
        wasOwnPodRead = true;
    }

    boolean wasOwnPodRead() {
        return wasOwnPodRead;
    }

    /** The own pod's uid; null until it is known. */
    String uid() {
        return uid;
    }

    boolean isSelf(String name) {
        return name.equals(self);
    }

    /** Whether the whole group was listed. */
    boolean isKnown() {
        return known;
    }

    /** The newest observation of the pod of that name; null if there is none. */
    Observation get(String name) {
        return pods.get(name);
    }

    /** The own pod; null while it is unknown, or while the watch shows another pod under its name. */
    Pod own() {
        Observation own = pods.get(self);
        return own == null || !own.pod().uid().equals(uid) ? null : own.pod();
    }

    Stream<Pod> all() {
        return pods.values().stream().map(Observation::pod);
    }

    Stream<Observation> others() {
        return pods.values().stream().filter(o -> !isSelf(o.pod().name()));
    }

    void markStale(String name) {
        stale.add(name);
    }

    void markFresh(String name) {
        stale.remove(name);
    }

    boolean isStale(String name) {
        return stale.contains(name);
    }

    List<String> stale() {
        return List.copyOf(stale);
    }

    /** Whether another pod has become Ready since {@link #steppedDown}. */
    boolean anotherBecameReady() {
        return anotherBecameReady;
    }

    void steppedDown() {
        anotherBecameReady = false;
    }
}

/** The requests under way, at most one per object; when to try again after a failure; the order of observations and requests. */
final class Requests {

    /** What requests go to: the Lease, the group, or a pod by its name, which cannot contain a colon. */
    static final String LEASE = "lease:";
    static final String GROUP = "group:";
    private static final long FIRST_RETRY = TimeUnit.MILLISECONDS.toNanos(50);
    /** So many requests to one object may follow each other at once; after that, two per retry-period. */
    private static final int BURST = 30;
    private static final String CONFLICT = "409 conflict";

    private final RandomGenerator random;
    private final long retryPeriod;
    private final long longestPause;
    private final Map<String, Effect.Request> pending = new HashMap<>();
    private final Map<String, Backoff> backoffs = new HashMap<>();
    /** When the requests to an object would have been sent if they had come at their average rate; absent if that is past. */
    private final Map<String, Long> spentUntil = new HashMap<>();
    private long sequence;
    private long leaseSentAt;

    /** Failures in a row of the requests to one object: no other is sent before {@code until}; the latest request and its answer. */
    private static final class Backoff {
        int failures;
        int conflicts;
        long until;
        String answer;
        Class<?> request;
    }

    Requests(Config config, RandomGenerator random) {
        this.random = random;
        this.retryPeriod = config.retryPeriod().toNanos();
        this.longestPause = config.longestPause().toNanos();
    }

    static String target(Effect.Request request) {
        return switch (request) {
            case Effect.GetLease get -> LEASE;
            case Effect.CreateLease create -> LEASE;
            case Effect.PutLease put -> LEASE;
            case Effect.ListPods list -> GROUP;
            case Effect.GetPod get -> get.name();
            case Effect.PatchPod patch -> patch.name();
        };
    }

    /** The next place in the order of observations and requests. */
    long nextSequence() {
        return ++sequence;
    }

    void sent(Effect.Request request, long now) {
        String target = target(request);
        pending.put(target, request);
        leaseSentAt = target.equals(LEASE) ? now : leaseSentAt;
        spentUntil.values().removeIf(until -> until <= now);
        backoffs.entrySet().removeIf(b -> now > b.getValue().until + 2 * retryPeriod && !isPending(b.getKey()));
        spentUntil.merge(target, now + retryPeriod / 2, (until, fresh) -> until + retryPeriod / 2);
    }

    boolean isPending(String target) {
        return pending.containsKey(target);
    }

    /** The request to the object that is under way; null if there is none. */
    Effect.Request pending(String target) {
        return pending.get(target);
    }

    boolean isPatchPending() {
        return pending.values().stream().anyMatch(Effect.PatchPod.class::isInstance);
    }

    /** When the latest request for the Lease was sent. */
    long leaseSentAt() {
        return leaseSentAt;
    }

    /** When the object may be asked for again; 0 for at once. */
    long notBefore(String target) {
        Backoff backoff = backoffs.get(target);
        return Math.max(backoff == null ? 0 : backoff.until, budgetAt(target, 1));
    }

    /** When the object's budget allows so many requests at once: this bounds what contention with another writer costs. */
    long budgetAt(String target, int requests) {
        return spentUntil.getOrDefault(target, 0L) - (BURST - requests) * (retryPeriod / 2);
    }

    /** The object of a request, for people. */
    static String describe(String target) {
        return target.equals(LEASE) ? "the Lease" : target.equals(GROUP) ? "the pods" : "pod " + target;
    }

    /** Whether the latest request to the object was refused, and not only because the object had changed. */
    boolean isRefused(String target) {
        return failure(target) != null && !CONFLICT.equals(failure(target));
    }

    /** What the latest request to the object was answered; null if it did not fail. */
    String failure(String target) {
        Backoff backoff = backoffs.get(target);
        return backoff == null ? null : backoff.answer;
    }

    /**
     * Retries after failures back off from 50 ms to retry-period. The first conflict is retried at once, because it only means that the
     * observation was stale, and the next ones after 50 ms on average, because each try is as likely to succeed as the last: at random,
     * also where the budget is spent, because the other program may write at regular intervals. A successful read does not reset the
     * back-off of a failing write.
     */
    void answered(Effect.Request request, Reply reply, long now) {
        String target = target(request);
        pending.remove(target);
        if (reply instanceof Reply.Failed failed) {
            Backoff backoff = backOff(target, request, failed.why());
            long pause = jittered(Math.min(retryPeriod, FIRST_RETRY << Math.min(backoff.failures++, 10)));
            backoff.until = now + Math.max(pause, Math.min(failed.pauseNanos(), longestPause));
        } else if (reply instanceof Reply.Conflict) {
            Backoff backoff = backOff(target, request, CONFLICT);
            long pause = backoff.conflicts++ == 0 ? 0 : (long) (2 * Math.min(retryPeriod, FIRST_RETRY) * random.nextDouble());
            backoff.until = Math.max(now, budgetAt(target, 2)) + pause;
        } else {
            backoffs.computeIfPresent(target, (same, backoff) ->
                    backoff.request == request.getClass() || now > backoff.until + 2 * retryPeriod ? null : backoff);
        }
    }

    private Backoff backOff(String target, Effect.Request request, String answer) {
        Backoff backoff = backoffs.computeIfAbsent(target, t -> new Backoff());
        backoff.answer = answer;
        backoff.request = request.getClass();
        return backoff;
    }

    private long jittered(long pause) {
        return pause + (long) (pause * 0.2 * random.nextDouble());
    }
}

/** Counts and times for the metrics; no rule of the election reads them. */
final class Counters {

    private long renewedAt;
    private long handover;
    private long takeover;
    private long healed;
    private final Map<String, Long> patches = new TreeMap<>();

    void renewed(long sentAt) {
        renewedAt = sentAt;
    }

    /** {@code nanos} from the free Lease to the own label. */
    void promoted(boolean wasReleased, long nanos) {
        handover = wasReleased ? nanos : handover;
        takeover = wasReleased ? takeover : nanos;
    }

    void patched(String result, boolean isHealing) {
        patches.merge(result, 1L, Long::sum);
        healed += isHealing ? 1 : 0;
    }

    Statistics snapshot(KnownLease lease) {
        return new Statistics(lease.transitions(), lease.changedAt(), renewedAt, handover, takeover, Map.copyOf(patches), healed);
    }
}

// ==== The elector: a pure state machine. Events go in, effects come out; it never touches a clock, a thread or the network. ====

/**
 * One participant of the election: follows, acquires the Lease, leads, releases it.
 *
 * <p><b>Read, win, write.</b> Every pod write carries the resourceVersion of an observation. A write of {@code true}, and every fence of
 * another pod, in addition rests on an observation that is <em>older than the leader's latest successful write of the Lease</em> ({@link
 * #patchUnderLease}). Writes that only add missing keys or take the own label off need no more: they never write {@code true}. A
 * participant that wins the Lease later fences the pod, which changes it, so the API server refuses a {@code true} that arrives late,
 * however late. No clock is involved; clocks decide only how soon, never whether.
 *
 * <p><b>Busy pods.</b> If other programs change a pod all the time, no observation of it is older than a renewal and still the newest. It
 * is enough then that the watch has shown each version since an older observation, and that all have the same label and epoch, because a
 * later leader would have changed them ({@link #isCovered}). But a later leader need not fence a pod that is newer than the list and not
 * labelled: that pod is harmless ({@link #isHarmless}). Before a leader labels its own pod on such a version, it therefore
 * <em>announces</em> that: it writes its epoch with the word {@code announced} into the annotation, and renews the Lease. A later winner
 * has listed the group after that, so it finds the announcement and fences the pod before it promotes its own.
 *
 * <p>An instance is driven by one thread. {@link #on} takes an event, observes what it shows, then lets the rules of the present role
 * decide what to send next. A rule that cannot act yet does nothing and is asked again after the next event; one that waits for a time
 * plans a wake-up by {@link #reachedElseWakeAt}. At most one request per object is under way.
 */
final class Elector {

    /** What is warned of, each at most once a minute. */
    private enum Matter {
        REWRITTEN, HISTORY, LEASE_REWRITTEN, SECOND_PROCESS, FENCE_FAILS, UNLABELLED, TOUCHED, CONTENTION, OVERDUE, RENEWED
    }

    /** A time that is never reached. */
    static final long NEVER = Long.MAX_VALUE;
    private static final long RANK_DELAY = TimeUnit.MILLISECONDS.toNanos(50);
    /** How long a release waits for the answer to a pod write. */
    private static final long IN_FLIGHT_PATCH_TIMEOUT = TimeUnit.MILLISECONDS.toNanos(250);
    /** How long a released Lease may stay without a new holder before the own label is taken off. */
    private static final long SUCCESSOR_TIMEOUT = TimeUnit.SECONDS.toNanos(2);
    /** How long after SIGTERM the fence of a new holder is awaited. */
    private static final long FENCE_TIMEOUT = TimeUnit.MILLISECONDS.toNanos(3200);
    /** How long after SIGTERM the process ends, even if the hand-over is unfinished. */
    private static final long EXIT_TIMEOUT = TimeUnit.SECONDS.toNanos(4);
    /** More reports of changes of leader than this in a minute are contention. */
    private static final int MOST_REPORTS = 10;
    /** Order in which pods acquire a free Lease: Ready first, then the newest, so that a rolling update needs one change of leader. */
    private static final Comparator<Pod> RANKING =
            Comparator.comparing(Pod::ready).reversed().thenComparing(Pod::created, Comparator.reverseOrder()).thenComparing(Pod::name);
    /** Epoch annotation of a pod that no leader has written to. A pod that fences itself writes {@code 0@<version>}: another value. */
    private static final String NO_EPOCH = "0";

    private final Config config;
    private final long leaseDuration;
    private final long renewDeadline;
    private final long retryPeriod;
    private final Requests requests;
    private final KnownLease lease;
    private final KnownGroup group;
    private final Counters counters = new Counters();

    // The current event.
    private long now;
    private Instant wallClock;
    private long wakeAt = NEVER;
    private List<Effect> effects = List.of();

    private Role role = new Role.Following();
    /** When SIGTERM was received; NEVER before. */
    private long stopAt = NEVER;
    /** Since when this pod holds and renews the Lease, won once or anew, and has not been observed labelled; NEVER otherwise. */
    private long unlabelledSince = NEVER;
    /** When this pod last stepped down because it was not Ready; NEVER if it never has. */
    private long steppedDownAt = NEVER;
    /** When this pod last offered the Lease to the preferred leader; NEVER if it never has. */
    private long offeredAt = NEVER;
    /** When this pod may acquire the Lease again, so that others can after a lead that it gave up; 0 for at once. */
    private long mayAcquireAt;
    /** Version on which {@code true} was last written to the own pod: while the pod has it, the write may still arrive. */
    private String promotedOnVersion;
    /** The latest time that was written into the Lease. */
    private Instant lastLeaseTime = Instant.EPOCH;
    /** Place at which the watch showed an older version than was known: a LIST sent later has to tell whether history was rewritten. */
    private long rewriteSuspectedAt = NEVER;
    /** See {@link #historySince()}. Answers to earlier requests may come from the lost history. */
    private long historySince;
    private Status published;
    private final Map<Matter, Long> lastWarned = new EnumMap<>(Matter.class);
    /** When changes of leader were reported within the last minute. */
    private final Deque<Long> reportedAt = new ArrayDeque<>();

    /**
     * @param config settings, whose rules hold
     * @param random jitter for retries
     * @param now the monotonic clock, in nanoseconds from any origin that keeps it non-negative
     */
    Elector(Config config, RandomGenerator random, long now) {
        this.config = config;
        this.leaseDuration = config.leaseDuration().toNanos();
        this.renewDeadline = config.renewDeadline().toNanos();
        this.retryPeriod = config.retryPeriod().toNanos();
        this.requests = new Requests(config, random);
        this.lease = new KnownLease(config, requests::nextSequence, now);
        this.group = new KnownGroup(config, requests::nextSequence);
    }

    /**
     * Takes in one event and returns what to do about it, in this order.
     *
     * @param now the monotonic clock in nanoseconds; never less than before
     * @param wallClock the wall clock, which is written into the Lease for people to read and decides nothing
     */
    List<Effect> on(Event event, long now, Instant wallClock) {
        this.now = now;
        this.wallClock = wallClock;
        effects = new ArrayList<>();
        if (role instanceof Role.Ended) {
            return effects;
        }
        observe(event);
        // The rules of a new role may act on the same event. Each pass collects the wake-ups afresh.
        for (Role before = null; role != before && !(role instanceof Role.Ended);) {
            before = role;
            wakeAt = NEVER;
            decide();
        }
        publish();
        return effects;
    }

    /** When {@link Event.Tick} is wanted next, in the nanoseconds of {@link #on}; {@link Long#MAX_VALUE} for never. */
    long wakeAt() {
        return role instanceof Role.Ended ? NEVER : wakeAt;
    }

    /** What this elector is doing at the moment. */
    Role role() {
        return role;
    }

    /** Place, in the order of observations and requests, of the latest discovery that history was rewritten; 0 before the first. */
    long historySince() {
        return historySince;
    }

    // --- What an event shows -----------------------------------------------------------------------------------------

    private void observe(Event event) {
        switch (event) {
            case Event.LeaseUpdated updated -> {
                lease.eventReceived(now);
                renewBeforeWritesIf(lease.isContradictedBy(updated.lease(), NEVER));
                lease.observe(updated.lease(), updated.lease().version(), now, wallClock);
            }
            case Event.LeaseDeleted deleted -> {
                lease.eventReceived(now);
                renewBeforeWritesIf(lease.isOlder(deleted.version()));
                lease.observe(null, deleted.version(), now, wallClock);
            }
            case Event.PodsListed listed -> {
                boolean isContradicted = group.isContradictedBy(listed.pods(), listed.version(), NEVER);
                renewBeforeWritesIf(isContradicted);
                rewriteSuspectedAt = isContradicted ? requests.nextSequence() : rewriteSuspectedAt;
                group.watchInterrupted();
                group.observe(listed.pods(), listed.version(), now).forEach(this::rereadIfItMatters);
            }
            case Event.PodUpdated updated -> {
                group.watchShowed(updated.pod());
                group.observe(updated.pod(), now);
            }
            case Event.PodRemoved removed -> onPodRemoved(removed.name(), removed.version());
            case Event.Replied replied -> onReply(replied.request(), replied.reply());
            case Event.Stop stop -> stopAt = Math.min(stopAt, now);
            case Event.Tick tick -> { }
        }
        group.forgetRemoved(name -> requests.isPending(name) || requests.isPending(Requests.GROUP));
    }

    /**
     * Where the watch contradicts what is known, it lags, or history was rewritten and the Lease that was won may not exist any more. A
     * leader then writes to no pod before it has renewed the Lease.
     */
    private void renewBeforeWritesIf(boolean isContradicted) {
        if (isContradicted && role instanceof Role.Leading leading) {
            leading.writableBefore = 0;
        }
    }

    private void onPodRemoved(String name, String version) {
        group.watchLost(name);
        Observation last = group.get(name);
        if (group.observeRemoved(name, version) && last != null) {
            rereadIfItMatters(last.pod());
        }
    }

    /** Neither a watch nor a list can tell a deleted pod from one that lost its key. A leader gives the key back. */
    private void rereadIfItMatters(Pod left) {
        if (role instanceof Role.Leading && left.isAlive()) {
            group.markStale(left.name());
        }
    }

    private void onReply(Effect.Request request, Reply answer) {
        Reply reply = request.sequence() > historySince ? answer : new Reply.Failed("sent before etcd was restored", 0);
        Reply outcome = outcome(request, reply);
        requests.answered(request, outcome, now);
        forgetIfHistoryWasRewritten(request, reply);
        switch (request) {
            case Effect.GetLease get -> onLeaseReply(get, reply);
            case Effect.CreateLease create -> onLeaseReply(create, reply);
            case Effect.PutLease put -> {
                onLeaseReply(put, reply);
                if (outcome instanceof Reply.LeaseReply ok && !ok.created()) {
                    onLeaseWritten(put, ok.lease());
                }
            }
            case Effect.ListPods list -> {
                if (reply instanceof Reply.PodListReply all) {
                    rewriteSuspectedAt = list.sequence() > rewriteSuspectedAt ? NEVER : rewriteSuspectedAt;
                    group.observe(all.pods(), all.version(), now).forEach(this::rereadIfItMatters);
                    if (role instanceof Role.Acquiring acquiring && acquiring.listSentFor != null) {
                        acquiring.listedFor = acquiring.listSentFor;
                        acquiring.listVersion = all.version();
                    }
                }
            }
            case Effect.GetPod get -> onPodRead(get, reply);
            case Effect.PatchPod patch -> onPodPatched(patch, reply, outcome);
        }
    }

    /** A write that was answered by 200 and changed nothing is a failure: an admission webhook or policy rewrites it. */
    private Reply outcome(Effect.Request request, Reply reply) {
        String rewritten = null;
        if (request instanceof Effect.PatchPod patch && reply instanceof Reply.PodReply ok) {
            rewritten = patch.rewrittenKey(ok.pod(), config);
        } else if (request instanceof Effect.PutLease put && reply instanceof Reply.LeaseReply ok) {
            rewritten = !ok.lease().holder().equals(put.lease().holder()) ? "holderIdentity"
                    : ok.lease().version().equals(put.lease().version()) ? "renewTime" : null;
        }
        if (rewritten == null) {
            return reply;
        }
        String why = "200, but an admission webhook or policy rewrites " + rewritten;
        warn(Matter.REWRITTEN, "writes to " + Requests.describe(Requests.target(request)) + " have no effect answer=\"" + why
                + "\"; exempt the sidecar from it");
        return new Reply.Failed(why, 0);
    }

    /**
     * A reply contradicts what was observed before its request was sent: etcd was restored from a backup. What was observed, and a win that
     * rests on it, no longer counts.
     */
    private void forgetIfHistoryWasRewritten(Effect.Request request, Reply reply) {
        boolean rewritten = switch (reply) {
            case Reply.LeaseReply ok -> lease.isContradictedBy(ok.lease(), request.sequence());
            case Reply.PodReply ok -> group.isContradictedBy(ok.pod(), request.sequence());
            case Reply.PodListReply all -> group.isContradictedBy(all.pods(), all.version(), request.sequence());
            default -> false;
        };
        if (rewritten) {
            warn(Matter.HISTORY, "resource versions went back: etcd was restored from a backup; starting anew");
            if (stopLeading("history was rewritten")) {
                recordStoppedLeading();
            }
            lease.forget();
            group.forget();
            rewriteSuspectedAt = NEVER;
            historySince = requests.nextSequence();
            role = new Role.Following();
            effects.add(new Effect.RestartWatches());
        }
    }

    private void onLeaseReply(Effect.Request request, Reply reply) {
        switch (reply) {
            case Reply.LeaseReply ok -> {
                lease.setMustBeRead(false);
                lease.replyReceived(ok.lease().version(), now);
                lease.observe(ok.lease(), ok.lease().version(), now, wallClock);
            }
            case Reply.NotFound notFound -> {
                lease.setMustBeRead(false);
                lease.observeMissing(request.sequence(), now, wallClock);
            }
            case Reply.NotSent notSent -> { }
            default -> lease.setMustBeRead(true);
        }
    }

    /**
     * A PUT on the version and uid that were observed succeeded. A PUT that created the Lease (201) is no such success, nor is one whose
     * holder was rewritten, or which made no new version. What it made is this process's, even where a webhook has changed the rest.
     */
    private void onLeaseWritten(Effect.PutLease put, Lease made) {
        if (put.lease().claim() == null) {
            return;
        }
        String rewritten = put.rewrittenField(made, config);
        if (rewritten != null) {
            warn(Matter.LEASE_REWRITTEN, "an admission webhook or policy rewrites " + rewritten + " of the Lease " + config.leaseName()
                    + "; this pod leads, but others may take over too soon or too late: exempt the sidecar from it");
        }
        lease.written(put.lease().claim(), made);
        if (role instanceof Role.Acquiring acquiring && acquiring.isAttempt(put)) {
            role = new Role.Leading(acquiring, made.version(), lease.previousHolder(), now);
        }
        if (role instanceof Role.Leading leading) {
            leading.claim = put.lease().claim();
            leading.version = made.version();
            leading.writableBefore = put.sequence();
            leading.renewedAt = requests.leaseSentAt();
            counters.renewed(leading.renewedAt);
        }
    }

    private void onPodRead(Effect.GetPod get, Reply reply) {
        boolean isSelf = group.isSelf(get.name());
        switch (reply) {
            case Reply.PodReply ok -> {
                group.markFresh(get.name());
                if (get.suspectUid() != null && (!ok.pod().uid().equals(get.suspectUid()) || ok.pod().finished())) {
                    lease.holderIsGone(get.suspectUid(), now);
                } else if (get.suspectUid() != null) {
                    lease.holderIsFound(get.suspectUid(), now);
                }
                if (isSelf && group.uid() == null) {
                    group.setUid(ok.pod().uid());
                }
                if (isSelf && !group.uid().equals(ok.pod().uid())) {
                    exitReplaced(ok.pod());
                } else {
                    if (isSelf) {
                        group.ownPodRead();
                    }
                    observePod(ok.pod(), get.sequence());
                }
            }
            case Reply.NotFound notFound -> {
                group.markFresh(get.name());
                if (get.suspectUid() != null) {
                    lease.holderIsGone(get.suspectUid(), now);
                }
                if (group.observeMissing(get.name(), get.sequence()) && isSelf) {
                    exit(group.wasOwnPodRead() ? 0 : 1, group.wasOwnPodRead() ? "the own pod " + get.name() + " was deleted"
                            : "--pod-name: pod " + get.name() + " does not exist in namespace " + config.namespace());
                }
            }
            default -> { }
        }
    }

    /** A pod without the leadership key is not watched, so only a leader, which restores the key of an alive pod, keeps it in view. */
    private void observePod(Pod seen, long requestSequence) {
        if (group.hasLeft(seen, requestSequence)) {
            return;
        }
        if (seen.leadership() != null || group.isSelf(seen.name()) || role instanceof Role.Leading && seen.isAlive()) {
            group.observe(seen, now);
        } else {
            group.observeRemoved(seen.name(), seen.version());
        }
    }

    private void exitReplaced(Pod found) {
        if (group.wasOwnPodRead()) {
            exit(0, "the own pod " + found.name() + " was replaced by another of the same name");
        } else {
            exit(1, "--pod-name: pod " + found.name() + " has uid " + found.uid() + ", but this container belongs to a pod of uid "
                    + group.uid() + ": it was replaced under the same name");
        }
    }

    private void onPodPatched(Effect.PatchPod patch, Reply reply, Reply outcome) {
        String result = switch (outcome) {
            case Reply.PodReply ok -> "ok";
            case Reply.NotSent notSent -> "unsent";
            case Reply.NotFound notFound -> "missing";
            case Reply.Conflict conflict -> "conflict";
            default -> "failed";
        };
        counters.patched(result, result.equals("ok") && patch.healing());
        if (role instanceof Role.Leading leading && group.isSelf(patch.name())) {
            leading.announcementFailed = outcome instanceof Reply.Failed && Pod.announcement(leading.epoch).equals(patch.epoch());
        }
        Observation last = group.get(patch.name());
        if (reply instanceof Reply.PodReply ok) {
            observePod(ok.pod(), patch.sequence());
        } else if (!(reply instanceof Reply.NotSent)
                && (last == null || !ResourceVersion.isNewer(last.pod().version(), patch.version()))) {
            group.markStale(patch.name()); // otherwise the watch has already shown what the patch did not rest on
        }
    }

    // --- The rules ---------------------------------------------------------------------------------------------------

    private void decide() {
        if (stopAt != NEVER && reachedElseWakeAt(stopAt + EXIT_TIMEOUT)) {
            stopLeading("exit timeout"); // without an Event, since nothing would wait for its answer
            end(0, "exit timeout reached before the hand-over finished");
            return;
        }
        checkWatchLiveness();
        rereadPods();
        if (rewriteSuspectedAt != NEVER && !(role instanceof Role.Acquiring)) {
            send(Requests.GROUP, Effect.ListPods::new);
        }
        switch (role) {
            case Role.Following following -> follow();
            case Role.Acquiring acquiring -> acquire(acquiring);
            case Role.Leading leading -> lead(leading);
            case Role.Releasing releasing -> release(releasing);
            case Role.Ended ended -> { }
        }
    }

    private boolean isTerminating() {
        Pod own = group.own();
        return stopAt != NEVER || own != null && !own.isAlive();
    }

    /** Whether this pod is to release what it holds, and to acquire nothing. A Lease that is kept until SIGTERM may have to be won anew. */
    private boolean isLeaving() {
        return isTerminating() && (stopAt != NEVER || !holdsLeaseUntilSigterm() || !isHeldBySelf());
    }

    /** Two renewal intervals without an event: perhaps nobody renews, or the watch is half-open. One GET, then one per retry-period. */
    private void checkWatchLiveness() {
        if (!(role instanceof Role.Leading) && reachedElseWakeAt(lease.silentAt())
                && reachedElseWakeAt(requests.leaseSentAt() + retryPeriod)) {
            sendGetLease();
        }
        if (reachedElseWakeAt(lease.watchIsStaleAt())) {
            lease.watchRestarted();
            effects.add(new Effect.RestartWatches());
        }
    }

    private void rereadPods() {
        if (group.own() == null) {
            group.markStale(config.pod());
        }
        for (String name : group.stale()) {
            sendGetPod(name, null);
        }
    }

    /**
     * Sees to it that the own pod has all three keys, so that a LIST by the leadership key misses no pod that could ever be promoted.
     * Writes only what is missing, so that a label which is on stays on; wrong values are left to the leader.
     */
    private void sendRegistration() {
        Pod own = group.own();
        if (own != null && !group.isStale(own.name()) && !own.hasAllKeys() && own.isAlive()) {
            sendPatch(own, own.leadership() == null ? "false" : null, own.participation() == null ? "true" : null,
                    own.epoch() == null ? NO_EPOCH : null);
        }
    }

    private boolean isRegistered() {
        Pod own = group.own();
        return own != null && !group.isStale(own.name()) && own.hasAllKeys();
    }

    // --- Following and acquiring -------------------------------------------------------------------------------------

    private void follow() {
        if (isLeaving()) {
            startReleasing(Role.Reason.STOPPING);
            return;
        }
        unlabelledSince = isHeldBySelf() ? unlabelledSince : NEVER;
        sendRegistration();
        if (!lease.isKnown() || lease.mustBeRead()) {
            sendGetLease();
            return;
        }
        verifyHolderExists();
        if (lease.namesPod(config.pod(), group.uid()) && !isHeldBySelf()) {
            warn(Matter.SECOND_PROCESS, "the Lease names this pod by a claim that this process did not make: stop a second sidecar of this"
                    + " election in pod " + config.pod() + " or under its name; if there is none, an older Lease was written back");
        } else if (isOnlyAnnounced()) {
            sendSelfFence(); // no other pod is promoted before that
        }
        Pod own = group.own();
        if (isRegistered() && mayAcquire()) {
            role = new Role.Acquiring();
        } else if (own != null && own.isLabelled() && !lease.isHeld() && reachedElseWakeAt(lease.changedAt() + leaseDuration)) {
            startReleasing(Role.Reason.NOBODY_LEADS);
        }
    }

    /** Whether the Lease is free and, by rank, it is this pod's turn; or it names this very pod: the container was restarted. */
    private boolean mayAcquire() {
        Pod own = group.own();
        if (own == null || !own.hasAllKeys() || isLeaving() || !group.isKnown() || !reachedElseWakeAt(mayAcquireAt)) {
            return false;
        }
        return isHeldBySelf() || reachedElseWakeAt(lease.freeAt() + acquireDelay(own));
    }

    /**
     * How long this pod waits for higher-ranked pods before it acquires a free Lease: the preferred leader first, then Ready pods, then the
     * newest, the last holder at the end. While the preferred leader can lead, the others wait longer, and the one that offered the Lease,
     * and so is still labelled, is the first to take it back. A preferred leader that was the last holder leaves, or could not be labelled,
     * so it is not waited for.
     */
    private long acquireDelay(Pod own) {
        String last = lastHolder();
        boolean wasLast = own.name().equals(last);
        Pod preferred = preferredLeader();
        if (preferred != null && preferred.name().equals(last) && !(wasLast && own.isLabelled())) {
            preferred = null;
        }
        if (preferred == own) {
            return 0;
        }
        if (preferred != null && own.isLabelled() && own.ready() && !isOfOlderRevision(own)) {
            return retryPeriod / 2;
        }
        List<Pod> others = others().filter(Pod::isAlive).toList();
        long before = others.stream().filter(p -> wasLast || !p.name().equals(last) && RANKING.compare(p, own) < 0).count();
        boolean anotherIsReady = !own.ready() && others.stream().anyMatch(Pod::ready);
        boolean waitsLonger = wasLast || anotherIsReady || preferred != null || isOfOlderRevision(own);
        return Math.min(before * RANK_DELAY, retryPeriod) + (waitsLonger ? retryPeriod : 0);
    }

    /** Whether a rolling update is about to replace this pod: the newest Ready pod is of another revision. */
    private boolean isOfOlderRevision(Pod pod) {
        Optional<Pod> newest = group.all().filter(p -> isOurs(p) && p.isAlive() && p.ready())
                .max(Comparator.comparing(Pod::created).thenComparing(Pod::name));
        return newest.isPresent() && pod.revision() != null && newest.get().revision() != null
                && !pod.revision().equals(newest.get().revision());
    }

    /** The pod that the Lease's annotation names, if it is a participant that can lead; null otherwise. */
    private Pod preferredLeader() {
        Observation named = group.get(lease.preferred());
        Pod pod = named == null ? null : named.pod();
        return pod != null && isOurs(pod) && pod.hasAllKeys() && pod.isAlive() && pod.ready() && !isOfOlderRevision(pod) ? pod : null;
    }

    /** The pod that held the Lease last: where no holder was observed, the labelled one; empty if there is none. */
    private String lastHolder() {
        return !lease.lastHolder().isEmpty() ? lease.lastHolder()
                : group.all().filter(pod -> pod.isLabelled() && isOurs(pod)).map(Pod::name).findFirst().orElse("");
    }

    /**
     * A holder whose pod was deleted, was replaced or has finished need not be waited for. A watch may be ahead or behind, so it is only a
     * hint. A GET sent after the claim was observed is proof, and final, because uids are never reused. The PUT is conditional on the
     * version that carried the claim. A pod that exists but lacks the leadership key is asked for once per lease-duration.
     */
    private void verifyHolderExists() {
        Claim holder = lease.claim();
        if (holder == null || !group.isKnown() || holder.uid().equals(group.uid()) || lease.isGone(holder.uid())) {
            return;
        }
        Observation last = group.get(holder.pod());
        if (last != null && last.pod().uid().equals(holder.uid()) && !last.pod().finished()) {
            lease.holderIsFound(null, now);
        } else if (reachedElseWakeAt(lease.askForHolderAt(holder.uid()))) {
            sendGetPod(holder.pod(), holder.uid());
        }
    }

    /** Read, win: the Lease's version first, then the group, then the PUT on that version. */
    private void acquire(Role.Acquiring acquiring) {
        if (requests.isPending(Requests.LEASE) || requests.isPending(Requests.GROUP)) {
            return;
        }
        Lease free = lease.get();
        if (lease.mustBeRead() || !mayAcquire()) {
            role = new Role.Following();
        } else if (free == null) {
            send(Requests.LEASE, Effect.CreateLease::new);
        } else if (!free.version().equals(acquiring.listedFor)) {
            if (send(Requests.GROUP, Effect.ListPods::new) != null) {
                acquiring.listSentFor = free.version();
            }
        } else {
            Instant time = nextLeaseTime();
            Claim claim = new Claim(config.pod(), group.uid(), time, time);
            Effect.PutLease attempt = sendPutLease(free.heldBy(claim, config.leaseDuration().toSeconds()));
            if (attempt != null) {
                acquiring.attempt = attempt;
                acquiring.freeSince = Math.min(lease.freeAt(), now);
                acquiring.wasReleased = !lease.isHeld();
            }
        }
    }

    /** What is written into the Lease as the time: never the same twice, even if the wall clock stands still or steps back. */
    private Instant nextLeaseTime() {
        Instant time = wallClock.truncatedTo(ChronoUnit.MICROS);
        lastLeaseTime = time.isAfter(lastLeaseTime) ? time : lastLeaseTime.plus(1, ChronoUnit.MICROS);
        return lastLeaseTime;
    }

    // --- Leading -----------------------------------------------------------------------------------------------------

    private void lead(Role.Leading leading) {
        if (now >= leading.renewedAt + renewDeadline) {
            unlabelledSince = NEVER; // without a renewal it could not write, and perhaps had no time to run
        }
        if (!isWon(leading) && awaitsAnswer()) {
            return;
        }
        if (!isWon(leading)) {
            if (lease.isAsWritten() && !mayWarn(Matter.TOUCHED)) {
                warnOfContention(null); // it was touched twice within a minute
            }
            boolean owesEvent = stopLeading(!lease.isHeld() ? "the Lease was emptied or deleted"
                    : !isHeldBySelf() ? "the Lease was taken by " + lease.holder()
                    : lease.isAsWritten() ? "the Lease was written by another client" : "the answer to a renewal was lost");
            if (owesEvent) {
                recordStoppedLeading();
            }
            role = new Role.Following();
            return;
        }
        if (stopAt != NEVER || isTerminating() && !holdsLeaseUntilSigterm()) {
            startReleasing(Role.Reason.STOPPING);
            return;
        }
        if (shouldStepDown(leading)) {
            steppedDownAt = now;
            group.steppedDown();
            startReleasing(Role.Reason.UNREADY);
            return;
        }
        if (shouldOfferToPreferred()) {
            offeredAt = now;
            startReleasing(Role.Reason.PREFERRED);
            return;
        }
        boolean isLabelled = group.own() != null && group.own().isLabelled();
        unlabelledSince = isLabelled ? NEVER : Math.min(unlabelledSince, now);
        boolean needsRenewal = reconcileLabels(leading);
        if (lease.mustBeRead()) {
            sendGetLease();
        } else if (needsRenewal || reachedElseWakeAt(leading.renewedAt + retryPeriod)) {
            sendPutLease(lease.get().heldBy(leading.claim.renewed(nextLeaseTime()), config.leaseDuration().toSeconds()));
        }
        reachedElseWakeAt(leading.renewedAt + renewDeadline); // to report it
        releaseIfUnlabelled(leading);
    }

    /** With after-exit, a terminating pod takes its label off at once, but no other pod leads before its application has exited. */
    private boolean holdsLeaseUntilSigterm() {
        Pod own = group.own();
        return config.handover() == Handover.AFTER_EXIT && own != null && own.terminating() && !own.finished();
    }

    /**
     * A leader that is not Ready serves no requests, so it steps down if another participant is Ready: not before unready-grace is over,
     * not more often than once per lease-duration, and only after another participant has become Ready since, because the previous one may
     * have a dead sidecar.
     */
    private boolean shouldStepDown(Role.Leading leading) {
        Pod own = group.own();
        return !config.unreadyGrace().isZero() && config.handover() == Handover.EARLY && own != null && !own.ready()
                && group.anotherBecameReady() && others().anyMatch(p -> p.isAlive() && p.ready())
                && reachedElseWakeAt(Math.max(group.get(config.pod()).readinessSince(), leading.wonAt) + config.unreadyGrace().toNanos())
                && (steppedDownAt == NEVER || reachedElseWakeAt(steppedDownAt + leaseDuration));
    }

    /**
     * Whether the preferred leader is to lead instead of this pod: it has been named, and has been Ready, for unready-grace, and the holder
     * has not changed for a lease-duration. It is offered the Lease once. If it does not acquire it, because its sidecar is dead, the next
     * offer comes only after it was named, or became Ready, anew. With after-exit a lead never moves while its application runs.
     */
    private boolean shouldOfferToPreferred() {
        Pod preferred = preferredLeader();
        if (preferred == null || group.isSelf(preferred.name()) || config.handover() == Handover.AFTER_EXIT) {
            return false;
        }
        long eligibleSince = Math.max(lease.preferredChangedAt(), group.get(preferred.name()).readinessSince());
        long grace = Math.max(config.unreadyGrace().toNanos(), retryPeriod);
        return (offeredAt == NEVER || offeredAt < eligibleSince) && reachedElseWakeAt(eligibleSince + grace)
                && reachedElseWakeAt(lease.holderChangedAt() + leaseDuration);
    }

    /**
     * Whether no other process has written the Lease since it was won: its version is the one that this win's latest PUT made. A Lease with
     * the same record, or with that of a renewal whose answer was lost, may be an old state that was written back after another win.
     */
    private boolean isWon(Role.Leading leading) {
        return lease.get() != null && lease.get().version().equals(leading.version);
    }

    /** Whether the observed Lease may be what the PUT under way writes, perhaps with other times. Then the answer has to tell. */
    private boolean awaitsAnswer() {
        return requests.pending(Requests.LEASE) instanceof Effect.PutLease && lease.holder().equals(config.pod());
    }

    /**
     * Write: fence all other pods, the labelled one last, then promote the own pod; and the same again whenever an event shows that
     * something is not as it should be. No pod is promoted over one that is neither fenced nor harmless; those that are harmless are fenced
     * after the promotion. Returns whether a write waits for a renewal.
     */
    private boolean reconcileLabels(Role.Leading leading) {
        List<Observation> blocking = unfenced(leading, false);
        boolean onlyLabelled = blocking.stream().allMatch(o -> o.pod().isLabelled());
        boolean needsRenewal = fence(leading, blocking.stream().filter(o -> onlyLabelled || !o.pod().isLabelled()).toList());
        if (holdsLeaseUntilSigterm()) {
            if (mayCarryLabel()) {
                sendSelfFence();
            }
            return needsRenewal;
        }
        sendRegistration();
        if (isRegistered() && blocking.isEmpty()) {
            needsRenewal |= !promoteSelf(leading);
        }
        if (unlabelledSince == NEVER) {
            needsRenewal |= fence(leading, unfenced(leading, true));
        }
        return needsRenewal;
    }

    /** Returns whether one of the fences waits for a renewal. */
    private boolean fence(Role.Leading leading, List<Observation> unfenced) {
        boolean needsRenewal = false;
        for (Observation other : unfenced) {
            if (requests.isRefused(other.pod().name()) && unlabelledSince != NEVER) {
                warn(Matter.FENCE_FAILS, "promotion waits for the fence of pod " + other.pod().name() + " answer=\""
                        + requests.failure(other.pod().name()) + "\"; grant the sidecar the right to patch it, or delete it");
            }
            needsRenewal |= !patchUnderLease(leading, other, "false", fencingEpoch(leading, other.pod()));
        }
        return needsRenewal;
    }

    /** The other pods that are not fenced and are, or are not, harmless. */
    private List<Observation> unfenced(Role.Leading leading, boolean isHarmless) {
        return group.others().filter(o -> isOurs(o.pod()) && !isFenced(leading, o.pod())
                && isHarmless(leading, o.pod()) == isHarmless).toList();
    }

    /**
     * Whether no {@code true} can appear on a pod even if it is not fenced: it is neither labelled nor announced, and it has changed since
     * the group was listed. A {@code true} that a former leader still has in flight rests on a version no newer than the listed one, or on
     * an announced one, and this version is neither.
     */
    private static boolean isHarmless(Role.Leading leading, Pod pod) {
        return !pod.isLabelled() && !pod.isAnnounced() && hasChangedSinceList(leading, pod);
    }

    /**
     * Whether this leader has fenced the pod. Its keys alone do not prove that: a pod may have come with them, from a template that was
     * copied from another pod.
     */
    private static boolean isFenced(Role.Leading leading, Pod pod) {
        if (pod.finished()) {
            return !pod.isLabelled();
        }
        return "false".equals(pod.leadership()) && "true".equals(pod.participation()) && leading.epoch.equals(pod.epoch())
                && hasChangedSinceList(leading, pod);
    }

    private static boolean hasChangedSinceList(Role.Leading leading, Pod pod) {
        return ResourceVersion.isNewer(pod.version(), leading.won.listVersion);
    }

    /** Only a write that changes the pod fences it, so one that came with this leader's epoch gets another value. */
    private static String fencingEpoch(Role.Leading leading, Pod pod) {
        return leading.epoch.equals(pod.epoch()) && !hasChangedSinceList(leading, pod) ? NO_EPOCH + "@" + pod.version() : leading.epoch;
    }

    /**
     * Announces the label where the own pod has changed since the latest write of the Lease, as it may do all the time. Returns false if
     * the promotion waits for a renewal.
     */
    private boolean promoteSelf(Role.Leading leading) {
        Observation own = group.get(config.pod());
        Pod pod = own.pod();
        if (pod.isLabelled() && "true".equals(pod.participation()) && leading.epoch.equals(pod.epoch())) {
            reportPromotion(leading);
            return true;
        }
        if (!isCovered(leading, own) && group.isSameSince(leading.writableBefore, pod) && !leading.announcementFailed) {
            sendPatch(pod, null, null, Pod.announcement(leading.epoch));
            return true;
        }
        return patchUnderLease(leading, own, "true", leading.epoch);
    }

    /**
     * A leader's pod write, under the rule that keeps every pod but one from being labelled: it rests on what was observed before the
     * latest successful write of the Lease. Returns false if the Lease has to be renewed first.
     */
    private boolean patchUnderLease(Role.Leading leading, Observation observation, String leadership, String epoch) {
        Pod pod = observation.pod();
        if (group.isStale(pod.name()) || requests.isPending(pod.name())) {
            return true;
        }
        if (!isCovered(leading, observation)) {
            return false;
        }
        if (sendPatch(pod, leadership, "true", epoch) && "true".equals(leadership)) {
            promotedOnVersion = pod.version();
        }
        return true;
    }

    /**
     * Whether the observation is older than the latest successful write of the Lease, or an earlier one is that has the same label and
     * epoch as each version since. A later leader's fence or promotion changes them, and the watch shows that even if another program
     * restores the former ones. But a later leader writes nothing to a pod that it takes for harmless, so the own pod must be announced as
     * well.
     */
    private boolean isCovered(Role.Leading leading, Observation observation) {
        Pod pod = observation.pod();
        return observation.sequence() < leading.writableBefore || group.isSameSince(leading.writableBefore, pod)
                && (!group.isSelf(pod.name()) || Pod.announcement(leading.epoch).equals(pod.epoch()));
    }

    /** A leader that could not be labelled for a lease-duration, for whatever reason, only blocks the others and must release the Lease. */
    private void releaseIfUnlabelled(Role.Leading leading) {
        if (holdsLeaseUntilSigterm() || unlabelledSince == NEVER || !reachedElseWakeAt(unlabelledSince + leaseDuration)) {
            return;
        }
        String obstacle = unfenced(leading, false).stream().map(o -> o.pod().name()).findFirst().orElse(config.pod());
        String answer = requests.failure(obstacle);
        if (mayWarn(Matter.UNLABELLED)) {
            log(Level.ERROR, "released lease reason=not-labelled after=" + TimeUnit.NANOSECONDS.toSeconds(leaseDuration) + "s pod="
                    + obstacle + " key=" + config.leadershipLabel() + " answer=\"" + (answer == null ? "none" : answer) + "\"");
        }
        mayAcquireAt = now + leaseDuration;
        unlabelledSince = NEVER; // the next win is a new attempt, even of this Lease, where a release is refused
        startReleasing(Role.Reason.UNLABELLED);
    }

    // --- Releasing ---------------------------------------------------------------------------------------------------

    private void startReleasing(Role.Reason reason) {
        role = new Role.Releasing(reason, now, stopLeading(reason.toString()));
    }

    /** The order of the steps is the protocol: each waits for the one before. */
    private void release(Role.Releasing releasing) {
        // 1. Keep a Lease that need not be released any more. The label of an unready leader goes first, because it serves no requests;
        // so does that of a process that has tried long enough and ends.
        if (isPointless(releasing) && isHeldBySelf() && !requests.isPending(Requests.LEASE)) {
            finishReleasing(releasing);
            return;
        }
        boolean isFencedFirst = releasing.reason == Role.Reason.UNREADY || stopAt != NEVER && reachedElseWakeAt(stopAt + FENCE_TIMEOUT);
        if (isFencedFirst && isHeldBySelf() && mayCarryLabel()) {
            sendSelfFence();
            return;
        }
        // 2. Know whether the Lease is still held, then release it. If that is refused until it has expired, others may acquire it as well.
        if (lease.mustBeRead()) {
            sendGetLease();
            return;
        }
        if (isHeldBySelf() && !reachedElseWakeAt(lease.expiresAt())) {
            sendRelease(releasing);
            return;
        }
        if (requests.isPending(Requests.LEASE)) {
            return;
        }
        if (isHeldBySelf()) {
            mayAcquireAt = Math.max(mayAcquireAt, lease.expiresAt() + 2 * retryPeriod); // after the others
        }
        releasing.releasedAt = Math.min(releasing.releasedAt, now);
        // 3. Wait until a successor fences this pod; take the label off if none will. A pod that lives on keeps it. 4. Done.
        if (!mayCarryLabel() || isLabelOfOtherProcess(releasing) || releasing.reason == Role.Reason.PREFERRED && !isTerminating()) {
            finishReleasing(releasing);
        } else if (!awaitsFence(releasing)) {
            sendSelfFence();
        }
    }

    /** Whether the reason to release the Lease is gone: the pod was unready and is Ready. */
    private boolean isPointless(Role.Releasing releasing) {
        return !isTerminating() && releasing.reason == Role.Reason.UNREADY && group.own() != null && group.own().ready();
    }

    /** A pod write under way would make the successor's fence fail with 409 and cost a round trip: its answer is awaited, but not long. */
    private void sendRelease(Role.Releasing releasing) {
        if (!requests.isPatchPending() || reachedElseWakeAt(releasing.since + IN_FLIGHT_PATCH_TIMEOUT)) {
            sendPutLease(lease.get().released(nextLeaseTime()));
        }
    }

    /**
     * Whether the own pod is labelled or announced, or a {@code true} of this process could still arrive: the version it rests on is still
     * there.
     */
    private boolean mayCarryLabel() {
        Pod own = group.own();
        return own == null || own.isLabelled() || own.isAnnounced() || own.version().equals(promotedOnVersion);
    }

    /**
     * Whether another process for this pod leads, where this one does not hold the Lease. The Lease may be an older one that was written
     * back, so a process that ends, and cannot take the label off later, waits for a renewal, as long as it waits for a fence.
     */
    private boolean isLabelOfOtherProcess(Role.Releasing releasing) {
        return !isHeldBySelf() && lease.namesPod(config.pod(), group.uid())
                && (!isTerminating() || lease.renewedAt() > releasing.since);
    }

    /** Whether the own pod is announced and there is no label that a successor could take over. */
    private boolean isOnlyAnnounced() {
        Pod own = group.own();
        return own != null && own.isAnnounced() && !own.isLabelled();
    }

    /** Whether a successor is about to fence this pod: then the label moves, instead of being dropped. */
    private boolean awaitsFence(Role.Releasing releasing) {
        if (!isTerminating() || isOnlyAnnounced() || stopAt != NEVER && reachedElseWakeAt(stopAt + FENCE_TIMEOUT)) {
            return false;
        }
        if (lease.isHeld()) {
            return lease.claim() != null && !reachedElseWakeAt(lease.expiresAt());
        }
        return others().anyMatch(Pod::isAlive) && !reachedElseWakeAt(releasing.releasedAt + SUCCESSOR_TIMEOUT);
    }

    /** Takes the own label off and changes the annotation, so that the pod's version rises and a late {@code true} is refused as well. */
    private void sendSelfFence() {
        Pod own = group.own();
        if (own != null && !group.isStale(own.name())) {
            sendPatch(own, "false", null, NO_EPOCH + "@" + own.version());
        }
    }

    private void finishReleasing(Role.Releasing releasing) {
        if (releasing.owesStoppedEvent) {
            releasing.owesStoppedEvent = false;
            recordStoppedLeading();
        }
        if (stopAt != NEVER) {
            exit(0, "stopped");
        } else if (group.own() != null && group.own().finished()) {
            exit(0, "the own pod " + config.pod() + " has finished");
        } else if (!isTerminating()) {
            role = new Role.Following();
        }
    }

    private void exit(int code, String why) {
        if (stopLeading(why)) {
            recordStoppedLeading();
        }
        end(code, why);
    }

    private void end(int code, String why) {
        role = new Role.Ended();
        effects.add(new Effect.Exit(code, why));
    }

    // --- Requests ----------------------------------------------------------------------------------------------------

    private void sendGetLease() {
        send(Requests.LEASE, Effect.GetLease::new);
    }

    private Effect.PutLease sendPutLease(Lease next) {
        Effect.PutLease sent = send(Requests.LEASE, sequence -> new Effect.PutLease(sequence, next, now + retryPeriod));
        if (sent != null) {
            lease.attempted(next);
        }
        return sent;
    }

    /**
     * A busy pod has to be written soon after it was read, by a leader after a renewal. Where a budget is spent, the read therefore waits
     * until it allows all of these requests, because each of them would otherwise wait by itself.
     */
    private void sendGetPod(String name, String suspectUid) {
        long budgetAt = Math.max(requests.budgetAt(name, 2), role instanceof Role.Leading ? requests.budgetAt(Requests.LEASE, 1) : 0);
        send(name, Math.max(requests.notBefore(name), budgetAt), sequence -> new Effect.GetPod(sequence, name, suspectUid));
    }

    /** Returns whether the patch was sent. A null value leaves its key alone; the deletion cost goes with the label. */
    private boolean sendPatch(Pod pod, String leadership, String participation, String epoch) {
        String cost = leadership == null ? null : pod.deletionCostFor("true".equals(leadership), config.deletionCost());
        boolean healing = role instanceof Role.Leading leading && leading.promoted && !holdsLeaseUntilSigterm()
                && !NO_EPOCH.equals(pod.epoch()) && !Pod.announcement(leading.epoch).equals(epoch);
        return send(pod.name(), sequence -> new Effect.PatchPod(sequence, pod.name(), pod.version(), leadership, participation, epoch,
                cost, healing, now + retryPeriod)) != null;
    }

    /** Sends a request, unless one to the same object is under way or has just failed: then it returns null. */
    private <R extends Effect.Request> R send(String target, LongFunction<R> request) {
        return send(target, requests.notBefore(target), request);
    }

    private <R extends Effect.Request> R send(String target, long notBefore, LongFunction<R> request) {
        if (requests.isPending(target) || !reachedElseWakeAt(notBefore)) {
            warnIfBudgetIsSpent(target);
            return null;
        }
        R sent = request.apply(requests.nextSequence());
        requests.sent(sent, now);
        effects.add(sent);
        return sent;
    }

    /** An object whose budget is spent is changed again and again by another program. A leader renews the Lease before each pod write. */
    private void warnIfBudgetIsSpent(String target) {
        if (requests.isPending(target) || now >= requests.budgetAt(target, 1)) {
            return;
        }
        boolean isPod = !target.equals(Requests.LEASE) && !target.equals(Requests.GROUP);
        warnOfContention(isPod ? target : !(role instanceof Role.Leading leading) ? null
                : Stream.concat(unfenced(leading, false).stream(), unfenced(leading, true).stream())
                        .map(o -> o.pod().name()).findFirst().orElse(null));
    }

    /** {@code pod} is null for the Lease. */
    private void warnOfContention(String pod) {
        if (mayWarn(Matter.CONTENTION)) {
            String what = pod == null ? "the Lease " + config.leaseName() : config.leadershipLabel() + " of pod " + pod;
            effects.add(new Effect.WarnOfContention(pod, "another program keeps changing " + what
                    + "; requests are throttled, and changes of leader are not logged one by one"));
        }
    }

    /** Whether the time has come. If not, plans to be woken then. */
    private boolean reachedElseWakeAt(long time) {
        if (now < time) {
            wakeAt = Math.min(wakeAt, time);
        }
        return now >= time;
    }

    // --- What is known -----------------------------------------------------------------------------------------------

    private boolean isHeldBySelf() {
        return lease.isHeldBySelf(config.pod(), group.uid());
    }

    /** The other participants, and whatever else carries a label of ours. */
    private Stream<Pod> others() {
        return group.others().map(Observation::pod).filter(this::isOurs);
    }

    /** Two elections may share a leadership label of the user's choice; one that begins with the election's name is ours alone. */
    private boolean isOurs(Pod pod) {
        return pod.participation() != null || pod.epoch() != null
                || role instanceof Role.Leading leading && pod.name().equals(leading.previous)
                || config.leadershipLabel().startsWith(config.election() + "/") && pod.leadership() != null;
    }

    // --- Reporting ---------------------------------------------------------------------------------------------------

    private void reportPromotion(Role.Leading leading) {
        if (!leading.promoted) {
            leading.promoted = true;
            long took = now - leading.won.freeSince;
            counters.promoted(leading.won.wasReleased, took);
            report("became leader", " epoch=" + leading.epoch + " took=" + TimeUnit.NANOSECONDS.toMillis(took) + "ms previous="
                    + (leading.previous.isEmpty() ? "none" : leading.previous));
            record("became leader");
        }
    }

    /** Logs the end of a lead, if there is one. Returns whether the Event of it is still owed. */
    private boolean stopLeading(String reason) {
        if (role instanceof Role.Leading leading) {
            report("stopped leading", " epoch=" + leading.epoch + " led=" + TimeUnit.NANOSECONDS.toSeconds(now - leading.wonAt)
                    + "s reason=\"" + reason + "\"");
            group.forgetUnwatched();
            return leading.promoted;
        }
        return role instanceof Role.Releasing releasing && releasing.owesStoppedEvent;
    }

    /** Sent after the label is off or elsewhere, so that it cannot delay the hand-over. */
    private void recordStoppedLeading() {
        record("stopped leading");
    }

    /** Logs a change of leader, unless contention causes one after the other: the budget may allow each of them. */
    private void report(String what, String details) {
        reportedAt.addLast(now);
        reportedAt.removeIf(time -> now - time >= TimeUnit.MINUTES.toNanos(1));
        if (reportedAt.size() > MOST_REPORTS) {
            warnOfContention(null);
        }
        if (!wasWarned(Matter.CONTENTION)) {
            log(Level.INFO, what + details);
        }
    }

    private void record(String what) {
        effects.add(new Effect.RecordEvent(lease.get() == null ? null : lease.get().uid(), config.pod() + " " + what));
    }

    private void log(Level level, String line) {
        effects.add(new Effect.Log(level, line));
    }

    private void warn(Matter matter, String line) {
        if (mayWarn(matter)) {
            log(Level.WARN, line);
        }
    }

    private boolean mayWarn(Matter matter) {
        boolean mayWarn = !wasWarned(matter);
        if (mayWarn) {
            lastWarned.put(matter, now);
        }
        return mayWarn;
    }

    private boolean wasWarned(Matter matter) {
        Long last = lastWarned.get(matter);
        return last != null && now - last < TimeUnit.MINUTES.toNanos(1);
    }

    /** The status goes out before any request of the same turn: a leader stops reporting itself as leader before it releases the Lease. */
    private void publish() {
        Pod own = group.own();
        Role.Leading leading = role instanceof Role.Leading l ? l : null;
        boolean leads = leading != null && leading.promoted && own != null && own.isLabelled() && !holdsLeaseUntilSigterm()
                && now < leading.renewedAt + renewDeadline;
        boolean registered = published != null && published.registered() || own != null && own.hasAllKeys();
        List<String> participants = group.all().filter(this::isOurs).map(Pod::name).toList();
        Status status = new Status(lease.holder(), lease.preferred(), config.pod(), leads, leads ? leading.renewedAt + renewDeadline : 0,
                leads ? leading.epoch : NO_EPOCH, lease.holderSince(), participants, registered, counters.snapshot(lease));
        if (!status.equals(published)) {
            published = status;
            effects.addFirst(new Effect.Publish(status));
        }
        if (leading != null) {
            reportDeadline(leading);
        }
    }

    private void reportDeadline(Role.Leading leading) {
        boolean overdue = now >= leading.renewedAt + renewDeadline;
        if (overdue && !leading.overdue) {
            leading.overdue = true;
            warn(Matter.OVERDUE, "lease not renewed within renew-deadline; not leading until renewed epoch=" + leading.epoch);
        } else if (!overdue && leading.overdue) {
            leading.overdue = false;
            if (mayWarn(Matter.RENEWED)) {
                log(Level.INFO, "lease renewed, leading again epoch=" + leading.epoch);
            }
        }
    }
}

// ==== The sidecar: one thread that drives the elector, and a short one for each of its requests =======================

/** The life of one sidecar: events go through one queue to one elector, on one thread. */
final class Sidecar {

    /** The log of the whole program. Not in {@link LeaderLabeler}, which configures logging before the first logger is made. */
    static final Logger LOG = LoggerFactory.getLogger("leader-labeler");
    /** Value of {@link #busySince} while no event is processed. */
    static final long NOT_BUSY = -1;

    private final Config config;
    private final Kubernetes kubernetes;
    private final LinkedBlockingQueue<Event> events = new LinkedBlockingQueue<>();
    private final long origin = System.nanoTime();
    private final Consumer<Status> statusListener;
    private CompletableFuture<Void> lastEvent = CompletableFuture.completedFuture(null);
    private volatile Status status;
    private volatile long busySince = NOT_BUSY;

    /**
     * Does nothing until {@link #run}. {@code statusListener} is called with each new state on the elector's thread, before the requests of
     * the same turn are sent.
     */
    Sidecar(Config config, Kubernetes kubernetes, Consumer<Status> statusListener) {
        this.config = config;
        this.kubernetes = kubernetes;
        this.statusListener = statusListener;
    }

    /**
     * Takes part in the election until {@link #stop} or the end of the own pod; returns an exit code of {@link LeaderLabeler}. Never
     * throws: a defect of the election ends the process, because without this loop a sidecar would look healthy and do nothing.
     */
    int run() {
        try {
            Elector elector = new Elector(config, RandomGenerator.getDefault(), now());
            kubernetes.watch(events::add);
            Event event = new Event.Tick();
            while (true) {
                busySince = now();
                for (Effect effect : elector.on(event, now(), Instant.now())) {
                    if (effect instanceof Effect.Exit exit) {
                        lastEvent.completeOnTimeout(null, Kubernetes.EVENT_MILLIS, TimeUnit.MILLISECONDS)
                                .exceptionally(lost -> null).join();
                        LOG.info("exit code={} reason=\"{}\"", exit.code(), exit.why());
                        return exit.code();
                    }
                    perform(effect);
                }
                busySince = NOT_BUSY;
                event = nextEvent(elector.wakeAt());
            }
        } catch (Throwable defect) {
            LOG.error("exit code={} reason=\"defect: {} at {}\"", LeaderLabeler.FAILURE, LeaderLabeler.firstLine(defect.toString()),
                    Stream.of(defect.getStackTrace()).findFirst().orElse(null));
            return LeaderLabeler.FAILURE;
        } finally {
            inBackground(kubernetes::close); // a connection to a server that hangs may take seconds to close; the process does not wait
        }
    }

    /** Asks the sidecar to hand over and end; safe from any thread. */
    void stop() {
        events.add(new Event.Stop());
    }

    /** The latest state, null before the first; safe from any thread. */
    Status status() {
        return status;
    }

    /** Whether this process should be killed. An API server that does not answer is no reason. Safe from any thread. */
    boolean isStuck() {
        return isStuck(now(), busySince, status, config.leaseDuration().toNanos());
    }

    /**
     * The rule of {@link #isStuck()}: the loop has been busy with one event since {@code busySince} ({@link #NOT_BUSY} between events), or
     * still claims a lead whose deadline has passed, for longer than {@code limit}. Times in nanoseconds; {@code known} may be null.
     */
    static boolean isStuck(long now, long busySince, Status known, long limit) {
        return busySince != NOT_BUSY && now - busySince > limit || known != null && known.leading() && now > known.leadsUntil() + limit;
    }

    private void perform(Effect effect) {
        switch (effect) {
            case Effect.Request request -> inBackground(() -> answer(request));
            case Effect.Publish publish -> {
                if (publish.status().registered() && (status == null || !status.registered())) {
                    inBackground(kubernetes::warmUp); // not earlier: it would delay the registration
                }
                status = publish.status();
                statusListener.accept(status);
            }
            case Effect.RecordEvent event -> lastEvent = inBackground(() -> kubernetes.recordEvent(event));
            case Effect.Log log -> LOG.atLevel(log.level()).log(log.line());
            case Effect.WarnOfContention contention ->
                    inBackground(() -> LOG.warn("{} other-writers={}", contention.line(), kubernetes.otherWriters(contention.pod())));
            case Effect.RestartWatches restart -> inBackground(kubernetes::restartWatches); // closing a half-open connection may block
            case Effect.Exit exit -> throw new IllegalStateException("an exit is not performed");
        }
    }

    /** Runs it on a thread of its own; what it throws is in the result only. */
    static CompletableFuture<Void> inBackground(Runnable task) {
        return CompletableFuture.runAsync(task, Thread::startVirtualThread);
    }

    /**
     * Carries out a request and answers it, whatever is thrown on the way: until then the elector sends no other request to that object. A
     * write whose time has passed while this process was frozen or starved is not sent at all. It would be refused anyway.
     */
    private void answer(Effect.Request request) {
        Reply reply;
        try {
            boolean isLate = switch (request) {
                case Effect.PutLease put -> now() > put.notAfter();
                case Effect.PatchPod patch -> now() > patch.notAfter();
                default -> false;
            };
            reply = isLate ? new Reply.NotSent() : kubernetes.send(request);
        } catch (Throwable defect) { // not even its message is used, because that may throw again
            reply = new Reply.Failed("defect: " + defect.getClass().getName(), 0);
        }
        events.add(new Event.Replied(request, reply));
    }

    private Event nextEvent(long wakeAt) {
        try {
            Event event = wakeAt == Long.MAX_VALUE ? events.take() : events.poll(wakeAt - now(), TimeUnit.NANOSECONDS);
            return event != null ? event : new Event.Tick();
        } catch (InterruptedException interrupted) {
            return new Event.Stop();
        }
    }

    /** The elector's clock: monotonic nanoseconds since this object was made. */
    long now() {
        return System.nanoTime() - origin;
    }
}

// ==== Kubernetes: all requests to the API server ======================================================================

/**
 * Requests and watches of one sidecar; nothing here decides anything. Every call ends within {@link Config#callTimeout}, pod writes within
 * {@link #POD_WRITE_TIMEOUT}.
 */
final class Kubernetes implements AutoCloseable {

    private static final String COMPONENT = "leader-labeler";
    /** In a merge patch, null removes a key. */
    private static final Gson WITH_NULLS = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();
    /** A watch is restarted this often, as client-go's reflector does. */
    private static final int WATCH_SECONDS = 300;
    /**
     * How long a pod write may take. Admission webhooks take up to 30 s each, and the API server itself gives up after 34 s. Only calls for
     * the Lease, and readings, have to end before the renew-deadline.
     */
    private static final Duration POD_WRITE_TIMEOUT = Duration.ofSeconds(35);
    /** How long the answer to a Kubernetes Event is awaited. */
    static final int EVENT_MILLIS = 400;
    /** How long it is believed whether Events may be written. */
    private static final long EVENT_REVIEW = TimeUnit.MINUTES.toNanos(5);
    /** Enough to get the code compiled: the median hand-over took 66 ms without, 56 ms with one, 49 ms with these, on a JDK. */
    private static final int WARM_UP_ROUNDS = 20;

    private final Config config;
    private final String server;
    private final String source;
    private final ApiClient client;
    private final CoordinationV1Api leases;
    private final CoreV1Api core;
    /** Sends the pod writes that {@link #client} has built. */
    private final ApiClient podWriter;
    private final OkHttpClient watchClient;
    private final LegacyEventBroadcaster broadcaster;
    private final EventRecorder recorder;
    private final Map<String, Long> lastWarned = new ConcurrentHashMap<>();
    private final Map<RequestKind, LongAdder> requests = new ConcurrentHashMap<>();
    /** A permit for each answer to a Kubernetes Event. */
    private final Semaphore eventAnswers = new Semaphore(0);
    private boolean mayRecordEvents;
    private long eventsReviewedAt = System.nanoTime() - EVENT_REVIEW;
    private final Set<Call> openWatches = ConcurrentHashMap.newKeySet();
    /** Grows with each restart of the watches: one that began before the latest restart ends, and a LIST follows. */
    private final AtomicInteger restarts = new AtomicInteger();
    private volatile boolean closed;

    /**
     * Takes over the client: adds timeouts, a counter of requests and {@link #withoutDelay}. {@code server} is its URL without secrets, and
     * {@code source} is how it was found, both for people.
     */
    Kubernetes(Config config, ApiClient client, String server, String source) {
        OkHttpClient http = client.getHttpClient().newBuilder().addInterceptor(this::count).addNetworkInterceptor(Kubernetes::withoutDelay)
                .build();
        this.config = config;
        this.server = server;
        this.source = source;
        this.client = client.setHttpClient(http.newBuilder().readTimeout(Duration.ZERO).callTimeout(config.callTimeout()).build());
        this.podWriter = new ApiClient(http.newBuilder().readTimeout(Duration.ZERO).callTimeout(POD_WRITE_TIMEOUT).build());
        this.watchClient = http.newBuilder().readTimeout(Duration.ofSeconds(WATCH_SECONDS).plus(config.callTimeout())).build();
        this.leases = new CoordinationV1Api(client);
        this.core = new CoreV1Api(client);
        this.broadcaster = new LegacyEventBroadcaster(core);
        this.recorder = broadcaster.newRecorder(new V1EventSource().component(COMPONENT).host(config.pod()));
        broadcaster.startRecording();
    }

    /** Connects to where {@code environment} leads; IOException with one line if that cannot be. */
    static Kubernetes connect(Config config, Environment environment) throws IOException {
        ApiClient client = environment.connect();
        // The ping finds a dead connection, on which OkHttp would otherwise send one call after the other.
        OkHttpClient pinging = client.getHttpClient().newBuilder().pingInterval(config.renewDeadline().dividedBy(3)).build();
        return new Kubernetes(config, client.setHttpClient(pinging), environment.server(), environment.source());
    }

    // --- Requests ----------------------------------------------------------------------------------------------------

    /** Requests are counted by verb, resource and {@code code}, which is {@code <error>} where no answer came. */
    record RequestKind(String verb, String resource, String code) {}

    /** How many requests of each kind there have been. */
    Map<RequestKind, LongAdder> requests() {
        return requests;
    }

    /**
     * Turns off Nagle's algorithm on the connection, as Go does for every one. With it, a request waits up to 40 ms until the server has
     * acknowledged what was sent before.
     */
    private static Response withoutDelay(Interceptor.Chain chain) throws IOException {
        chain.connection().socket().setTcpNoDelay(true);
        return chain.proceed(chain.request());
    }

    private Response count(Interceptor.Chain chain) throws IOException {
        Request request = chain.request();
        // Such as /api/v1/namespaces/shop/pods/web-0, or /apis/authorization.k8s.io/v1/selfsubjectaccessreviews.
        List<String> path = request.url().pathSegments();
        int at = path.indexOf("namespaces") + 2;
        boolean named = path.size() > at + 1;
        String resource = at > 1 && path.size() > at ? path.get(at) : path.getLast();
        String verb = switch (request.method()) {
            case "GET" -> request.url().queryParameter("watch") != null ? "watch" : named ? "get" : "list";
            case "PUT" -> "update";
            case "POST" -> "create";
            default -> request.method().toLowerCase(Locale.ROOT);
        };
        String code = "<error>";
        try {
            Response response = chain.proceed(request);
            code = String.valueOf(response.code());
            return response;
        } finally {
            requests.computeIfAbsent(new RequestKind(verb, resource, code), kind -> new LongAdder()).increment();
            if (resource.equals("events")) {
                eventAnswers.release();
            }
        }
    }

    /**
     * Runs the code that acquires the Lease, without sending requests. A JVM takes several times as long to run code for the first time,
     * and a pod that has just been started must not acquire the Lease late.
     */
    void warmUp() {
        Instant time = Instant.now().truncatedTo(ChronoUnit.MICROS);
        V1Lease blank = freeLease();
        V1ObjectMeta meta = blank.getMetadata().resourceVersion("0").uid("0");
        PartialPod pod = new PartialPod(meta, new PartialPod.State("Running", List.of(new PartialPod.Condition("Ready", "True"))));
        ListResponse<PartialPod> group = new ListResponse<>(new V1ListMeta().resourceVersion("0"), List.of(pod));
        Effect.PatchPod fence = new Effect.PatchPod(0, config.pod(), "0", "false", "true", "0", "", false, 0);
        try {
            for (int i = 0; i < WARM_UP_ROUNDS; i++) {
                podsAre(JSON.deserialize(JSON.serialize(group), new TypeToken<ListResponse<PartialPod>>() { }.getType()));
                V1Lease held = encode(decode(blank).heldBy(new Claim(config.pod(), "0", time, time), 1));
                leases.replaceNamespacedLease(config.leaseName(), config.namespace(), held).buildCall(null);
                decode((V1Lease) JSON.deserialize(JSON.serialize(held), V1Lease.class));
                patchCall(fence);
            }
        } catch (ApiException impossible) {
            Sidecar.LOG.debug("warm-up: {}", impossible.getMessage());
        }
    }

    /** Carries out one request and reports what became of it. Throws only where that report is impossible. */
    Reply send(Effect.Request request) {
        try {
            return switch (request) {
                case Effect.GetLease get ->
                        leaseIs(leases.readNamespacedLease(config.leaseName(), config.namespace()).executeWithHttpInfo());
                case Effect.CreateLease create ->
                        leaseIs(leases.createNamespacedLease(config.namespace(), freeLease())
                                .fieldManager(COMPONENT).executeWithHttpInfo());
                case Effect.PutLease put ->
                        leaseIs(leases.replaceNamespacedLease(config.leaseName(), config.namespace(), encode(put.lease()))
                                .fieldManager(COMPONENT).executeWithHttpInfo());
                case Effect.ListPods list -> podsAre(execute(listPods(null), PartialPod.class));
                case Effect.GetPod get -> new Reply.PodReply(decode(getPod(get.name())));
                case Effect.PatchPod patch -> new Reply.PodReply(decode(PatchUtils.patch(PartialPod.class, () -> patchCall(patch),
                        V1Patch.PATCH_FORMAT_JSON_MERGE_PATCH, podWriter)));
            };
        } catch (ApiException refused) {
            return toReply(request, refused);
        } catch (Throwable unreadable) {
            String why = "unreadable answer: " + LeaderLabeler.firstLine(String.valueOf(unreadable.getMessage()));
            warn(access(request), 200, why);
            return new Reply.Failed(why, 0);
        }
    }

    private RequiredAccess access(Effect.Request request) {
        return switch (request) {
            case Effect.GetLease get -> RequiredAccess.toLease("get", config);
            case Effect.CreateLease create -> RequiredAccess.toLease("create", config);
            case Effect.PutLease put -> RequiredAccess.toLease("update", config);
            case Effect.ListPods list -> RequiredAccess.toPods("list", null);
            case Effect.GetPod get -> RequiredAccess.toPods("get", get.name());
            case Effect.PatchPod patch -> RequiredAccess.toPods("patch", patch.name());
        };
    }

    private PartialPod getPod(String name) throws ApiException {
        return client.<PartialPod>execute(core.readNamespacedPod(name, config.namespace()).buildCall(null), PartialPod.class).getData();
    }

    /** Lists the pods that have the leadership key, or watches them from a version on if that is not null. */
    private Call listPods(String version) throws ApiException {
        CoreV1Api.APIlistNamespacedPodRequest list = core.listNamespacedPod(config.namespace()).labelSelector(config.leadershipLabel());
        return (version == null ? list : list.watch(true).timeoutSeconds(WATCH_SECONDS).resourceVersion(version)).buildCall(null);
    }

    /** The same for the Lease. */
    private Call listLease(String version) throws ApiException {
        CoordinationV1Api.APIlistNamespacedLeaseRequest list =
                leases.listNamespacedLease(config.namespace()).fieldSelector("metadata.name=" + config.leaseName());
        return (version == null ? list : list.watch(true).timeoutSeconds(WATCH_SECONDS).resourceVersion(version)).buildCall(null);
    }

    private <T> ListResponse<T> execute(Call list, Class<T> type) throws ApiException {
        return client.<ListResponse<T>>execute(list, TypeToken.getParameterized(ListResponse.class, type).getType()).getData();
    }

    private Call patchCall(Effect.PatchPod patch) throws ApiException {
        Map<String, String> labels = new LinkedHashMap<>();
        putIfSet(labels, config.leadershipLabel(), patch.leadership());
        putIfSet(labels, config.participationLabel(), patch.participation());
        Map<String, String> annotations = new LinkedHashMap<>();
        putIfSet(annotations, config.epochAnnotation(), patch.epoch());
        if (patch.deletionCost() != null) {
            String cost = patch.deletionCost().isEmpty() ? null : patch.deletionCost();
            annotations.put(Config.DELETION_COST, cost);
            annotations.put(config.deletionCostAnnotation(), cost);
        }
        String body = WITH_NULLS.toJson(Map.of("metadata",
                Map.of("resourceVersion", patch.version(), "labels", labels, "annotations", annotations)));
        return core.patchNamespacedPod(patch.name(), config.namespace(), new V1Patch(body)).fieldManager(COMPONENT).buildCall(null);
    }

    /**
     * The field managers that wrote to a pod, or to the Lease if {@code pod} is null, other than this program; empty if unknown. Read as
     * bare JSON, because client-java leaves managed fields out of what it decodes.
     */
    Set<String> otherWriters(String pod) {
        try {
            Call get = pod != null ? core.readNamespacedPod(pod, config.namespace()).buildCall(null)
                    : leases.readNamespacedLease(config.leaseName(), config.namespace()).buildCall(null);
            return client.<JsonObject>execute(get, JsonObject.class).getData().getAsJsonObject("metadata").getAsJsonArray("managedFields")
                    .asList().stream().map(entry -> entry.getAsJsonObject().get("manager").getAsString())
                    .filter(manager -> !COMPONENT.equals(manager)).collect(Collectors.toCollection(TreeSet::new));
        } catch (ApiException | RuntimeException unknown) {
            return Set.of();
        }
    }

    private static void putIfSet(Map<String, String> map, String key, String value) {
        if (value != null) {
            map.put(key, value);
        }
    }

    /** 404 and 409 tell the elector something; everything else leaves open whether a write was or will be executed. */
    private Reply toReply(Effect.Request request, ApiException refused) {
        if (isNotFound(refused) && !(request instanceof Effect.CreateLease)) {
            return new Reply.NotFound();
        }
        if (refused.getCode() == 409) {
            return new Reply.Conflict();
        }
        String answer = describe(refused, request instanceof Effect.PatchPod ? POD_WRITE_TIMEOUT : config.callTimeout());
        warn(access(request), refused.getCode(), answer);
        return new Reply.Failed(answer, retryAfter(refused));
    }

    /** A load balancer in front of a dead API server also answers 404; that does not prove that the object is gone. */
    private static boolean isNotFound(ApiException refused) {
        return refused.getCode() == 404 && "NotFound".equals(ApiStatus.of(refused).reason());
    }

    /** The answer in one line, or why there was none within {@code limit}. */
    private static String describe(ApiException refused, Duration limit) {
        if (refused.getCode() == 0) {
            Throwable cause = refused.getCause() == null ? refused : refused.getCause();
            return cause.getClass() == InterruptedIOException.class ? "no answer within " + Config.show(limit)
                    : cause.getClass() == IOException.class ? cause.getMessage() : cause.toString();
        }
        return "%d %.500s".formatted(refused.getCode(), ApiStatus.of(refused).message().replaceAll("\\s+", " "));
    }

    /** What matters of a {@code Status}. A proxy in front of the API server may answer anything, so the body may be none. */
    private record ApiStatus(String reason, String message) {

        static ApiStatus of(ApiException refused) {
            String body = refused.getResponseBody() == null ? "" : refused.getResponseBody();
            try {
                ApiStatus status = JSON.deserialize(body, ApiStatus.class);
                return status != null && status.message() != null ? status : new ApiStatus("", body);
            } catch (RuntimeException other) {
                return new ApiStatus("", body);
            }
        }
    }

    /** The Retry-After of an answer in nanoseconds; 0 without one. */
    private static long retryAfter(ApiException refused) {
        Map<String, List<String>> headers = refused.getResponseHeaders(); // in lower case, as OkHttp makes them
        String seconds = headers == null ? "" : headers.getOrDefault("retry-after", List.of("")).getFirst();
        return seconds.matches("\\d{1,9}") ? TimeUnit.SECONDS.toNanos(Long.parseLong(seconds)) : 0;
    }

    // --- Warnings ----------------------------------------------------------------------------------------------------

    /**
     * Reports that a request failed, at most once a minute for each verb and resource, and for an API server that does not answer. A 403
     * need not be a missing permission, because quotas, admission webhooks and terminating namespaces forbid, too: the API server is
     * asked.
     *
     * @param code HTTP status, 0 if there was no answer
     */
    private void warn(RequiredAccess access, int code, String answer) {
        if (!mayWarn(code == 0 ? "no answer" : access.kind())) {
            return;
        }
        if (code != 403) {
            report("cannot", access, answer);
            return;
        }
        Sidecar.inBackground(() -> {
            boolean missing = isMissing(access);
            report(missing ? "missing permission:" : "cannot", access, answer);
            if (missing && mayWarn("Role")) {
                Sidecar.LOG.warn("apply the following; no restart is needed:\n{}", PermissionCheck.role(config, user()).strip());
            }
        });
    }

    private static void report(String what, RequiredAccess access, String answer) {
        Sidecar.LOG.warn("{} {}: {}; {}", what, access, answer,
                access.verb().equals("watch") ? "polling every retry-period instead" : "trying again");
    }

    private boolean isMissing(RequiredAccess access) {
        try {
            return !isAllowed(access);
        } catch (ApiException | RuntimeException unknown) {
            return false;
        }
    }

    private boolean mayWarn(String matter) {
        long now = System.nanoTime();
        // The mapping is now only if this call made it.
        return !closed && now == lastWarned.compute(matter,
                (same, last) -> last == null || now - last > TimeUnit.MINUTES.toNanos(1) ? now : last);
    }

    // --- Watches -----------------------------------------------------------------------------------------------------

    private interface ListCall {
        /** The watch from this version on, or the LIST for null. */
        Call from(String version) throws ApiException;
    }

    /** A collection to watch: its LIST, or its watch from a version on, and the events that its objects make. */
    private record Source<T>(String what, RequiredAccess access, Class<T> type, ListCall call, Function<T, V1ObjectMeta> metadata,
            BiFunction<List<T>, String, Event> listed, Function<T, Event> updated, Function<T, Event> removed) {}

    /**
     * Begins to report the Lease and the group's pods to {@code sink}, which must be safe from any thread, on threads of its own until
     * {@link #close}. Without bookmarks, because client-java takes that of a pod for malformed, which would end the watch every minute.
     */
    void watch(Consumer<Event> sink) {
        start(sink, new Source<>("the Lease", RequiredAccess.toLease("watch", config), V1Lease.class, this::listLease, V1Lease::getMetadata,
                (all, version) -> all.isEmpty() ? new Event.LeaseDeleted(version) : new Event.LeaseUpdated(decode(all.getFirst())),
                lease -> new Event.LeaseUpdated(decode(lease)),
                lease -> new Event.LeaseDeleted(required(lease.getMetadata().getResourceVersion()))));
        start(sink, new Source<>("the pods", RequiredAccess.toPods("watch", null), PartialPod.class, this::listPods, PartialPod::metadata,
                (all, version) -> new Event.PodsListed(all.stream().map(this::decode).toList(), version),
                pod -> new Event.PodUpdated(decode(pod)),
                pod -> new Event.PodRemoved(required(pod.metadata().getName()), required(pod.metadata().getResourceVersion()))));
    }

    /**
     * Lists, then watches; again from the last version when the server ends the watch, by a new list when anything breaks. Where watching
     * is impossible this becomes a list every retry-period, so polling needs no code of its own.
     */
    private void start(Consumer<Event> sink, Source<?> source) {
        Thread.ofVirtual().name("watch of " + source.what()).start(() -> {
            String version = null;
            while (!closed) {
                long again = System.nanoTime() + (long) (config.retryPeriod().toNanos() * (1 + 0.2 * Math.random()));
                int begun = restarts.get();
                try {
                    version = listAndWatch(version, begun, sink, source);
                    version = begun == restarts.get() ? version : null;
                } catch (Throwable broken) { // even a defect: nothing else would begin this watch again
                    version = null;
                }
                pause(again - System.nanoTime());
            }
        });
    }

    /** Watches from a version on, after a list if that is null; returns the version to go on from, null if the next one must list. */
    private <T> String listAndWatch(String from, int begun, Consumer<Event> sink, Source<T> source) throws IOException {
        String version = from;
        try {
            if (version == null) {
                ListResponse<T> list = execute(source.call().from(null), source.type());
                version = required(list.metadata().getResourceVersion());
                sink.accept(source.listed().apply(list.items(), version));
            }
            return watch(version, begun, sink, source);
        } catch (ApiException refused) {
            warn(source.access().to(version == null ? "list" : "watch"), refused.getCode(), describe(refused, config.callTimeout()));
            pause(Math.min(retryAfter(refused), config.longestPause().toNanos()));
            return null;
        }
    }

    private <T> String watch(String from, int begun, Consumer<Event> sink, Source<T> source) throws ApiException, IOException {
        String version = from;
        Call call = watchClient.newCall(source.call().from(from).request());
        openWatches.add(call);
        if (begun != restarts.get()) {
            call.cancel();
        }
        try (Watch<T> watch = Watch.createWatch(client, call, TypeToken.getParameterized(Watch.Response.class, source.type()).getType())) {
            for (Watch.Response<T> event : watch) {
                if (event.object == null) {
                    return null;
                }
                switch (event.type) {
                    case "ADDED", "MODIFIED" -> sink.accept(source.updated().apply(event.object));
                    case "DELETED" -> sink.accept(source.removed().apply(event.object));
                    default -> { }
                }
                version = source.metadata().apply(event.object).getResourceVersion();
            }
            return version;
        } finally {
            openWatches.remove(call);
        }
    }

    /** Waits, not at all if {@code nanos} is negative. Not by parking, which may end early. */
    private static void pause(long nanos) {
        try {
            TimeUnit.NANOSECONDS.sleep(nanos);
        } catch (InterruptedException closing) {
            Thread.currentThread().interrupt();
        }
    }

    /** Closes the watches, which deliver no events; their threads list anew and restart them. */
    void restartWatches() {
        restarts.incrementAndGet();
        openWatches.forEach(Call::cancel);
    }

    // --- Permissions -------------------------------------------------------------------------------------------------

    /** Whether the API server would allow this access to the namespace. */
    boolean isAllowed(RequiredAccess access) throws ApiException {
        V1SelfSubjectAccessReview review = new V1SelfSubjectAccessReview().spec(new V1SelfSubjectAccessReviewSpec()
                .resourceAttributes(new V1ResourceAttributes().namespace(config.namespace()).verb(access.verb()).group(access.group())
                        .resource(access.resource()).name(access.name())));
        return Boolean.TRUE.equals(new AuthorizationV1Api(client).createSelfSubjectAccessReview(review).execute().getStatus().getAllowed());
    }

    /** Whether the own pod exists; false also where this user may not know. */
    boolean podExists() throws ApiException {
        try {
            return getPod(config.pod()) != null;
        } catch (ApiException refused) {
            if (isNotFound(refused) || refused.getCode() == 403) {
                return false;
            }
            throw refused;
        }
    }

    /** Why the API server cannot be used, in one line: what it answered, or what could not be read. */
    String problem(Exception failure) {
        return "cannot use %s (%s): %s".formatted(server, source, failure instanceof ApiException refused
                ? describe(refused, config.callTimeout()) : "unreadable answer: " + failure.getMessage());
    }

    /** The name under which the API server knows this client; the namespace's default service account where it does not say. */
    String user() {
        return knownAs().orElse("system:serviceaccount:" + config.namespace() + ":default");
    }

    private Optional<String> knownAs() {
        try {
            return Optional.of(new AuthenticationV1Api(client).createSelfSubjectReview(new V1SelfSubjectReview()).execute().getStatus()
                    .getUserInfo().getUsername());
        } catch (ApiException | RuntimeException unknown) {
            return Optional.empty();
        }
    }

    /** The API server's URL, the name under which it knows this client, and by what both were found. */
    String connection() {
        return "%s as %s (%s)".formatted(server, knownAs().orElse("an unknown user"), source);
    }

    // --- Kubernetes Events -------------------------------------------------------------------------------------------

    /**
     * Writes a Kubernetes Event on the Lease and waits for the answer, {@link #EVENT_MILLIS} at most; does nothing without the permission.
     * Not for the elector's thread.
     */
    void recordEvent(Effect.RecordEvent event) {
        if (!mayRecordEvents()) {
            return;
        }
        V1ObjectReference lease = new V1ObjectReference().apiVersion("coordination.k8s.io/v1").kind("Lease")
                .namespace(config.namespace()).name(config.leaseName()).uid(event.leaseUid());
        eventAnswers.drainPermits();
        recorder.event(lease, EventType.Normal, "LeaderElection", event.message());
        try {
            eventAnswers.tryAcquire(EVENT_MILLIS, TimeUnit.MILLISECONDS);
        } catch (InterruptedException closing) {
            Thread.currentThread().interrupt();
        }
    }

    /** Asked at most once in {@link #EVENT_REVIEW}, because the recorder repeats a forbidden Event every 10 s for two minutes. */
    private synchronized boolean mayRecordEvents() {
        if (System.nanoTime() - eventsReviewedAt > EVENT_REVIEW) {
            mayRecordEvents = Stream.of("create", "patch").noneMatch(verb -> isMissing(RequiredAccess.toEvents(verb)));
            eventsReviewedAt = System.nanoTime();
        }
        return mayRecordEvents;
    }

    /** Ends watches and calls. The watches' threads are not interrupted, which OkHttp does not expect; they see it within retry-period. */
    @Override
    public void close() {
        closed = true;
        restartWatches();
        client.getHttpClient().dispatcher().cancelAll();
        client.getHttpClient().dispatcher().executorService().shutdown();
        client.getHttpClient().connectionPool().evictAll();
        broadcaster.shutdown();
    }

    // --- Objects -----------------------------------------------------------------------------------------------------

    private Reply leaseIs(ApiResponse<V1Lease> response) {
        return new Reply.LeaseReply(decode(response.getData()), response.getStatusCode() == 201);
    }

    private Reply podsAre(ListResponse<PartialPod> list) {
        return new Reply.PodListReply(list.items().stream().map(this::decode).toList(), required(list.metadata().getResourceVersion()));
    }

    private Lease decode(V1Lease lease) {
        V1ObjectMeta meta = lease.getMetadata();
        V1LeaseSpec spec = lease.getSpec() == null ? new V1LeaseSpec() : lease.getSpec();
        return new Lease(required(meta.getResourceVersion()), required(meta.getUid()),
                spec.getHolderIdentity() == null ? "" : spec.getHolderIdentity(),
                spec.getLeaseDurationSeconds(), instant(spec.getAcquireTime()), instant(spec.getRenewTime()),
                spec.getLeaseTransitions() == null ? 0 : spec.getLeaseTransitions(),
                Claim.parse(value(meta.getAnnotations(), config.claimAnnotation())),
                Objects.requireNonNullElse(value(meta.getAnnotations(), config.preferredLeaderAnnotation()), ""), lease);
    }

    private static Instant instant(OffsetDateTime time) {
        return time == null ? null : time.toInstant();
    }

    /** Keeps what other programs wrote into the Lease: their labels, annotations, owners, and the fields that we do not know. */
    private V1Lease encode(Lease lease) {
        V1Lease origin = (V1Lease) lease.origin();
        V1ObjectMeta meta = origin.getMetadata();
        V1LeaseSpec spec = origin.getSpec() == null ? new V1LeaseSpec() : origin.getSpec();
        Map<String, String> annotations = new TreeMap<>(meta.getAnnotations() == null ? Map.of() : meta.getAnnotations());
        annotations.remove(config.claimAnnotation());
        putIfSet(annotations, config.claimAnnotation(), lease.claim() == null ? null : lease.claim().toString());
        return new V1Lease()
                .metadata(new V1ObjectMeta().name(config.leaseName()).namespace(config.namespace())
                        .resourceVersion(lease.version()).uid(lease.uid()).annotations(annotations).labels(meta.getLabels())
                        .ownerReferences(meta.getOwnerReferences()).finalizers(meta.getFinalizers()))
                .spec(new V1LeaseSpec().holderIdentity(lease.holder()).leaseDurationSeconds(lease.durationSeconds())
                        .acquireTime(lease.acquireTime().atOffset(ZoneOffset.UTC)).renewTime(lease.renewTime().atOffset(ZoneOffset.UTC))
                        .leaseTransitions(lease.transitions()).strategy(spec.getStrategy()).preferredHolder(spec.getPreferredHolder()));
    }

    /** A Lease without a holder: creating one is never winning it. */
    private V1Lease freeLease() {
        return new V1Lease().metadata(new V1ObjectMeta().name(config.leaseName()).namespace(config.namespace()))
                .spec(new V1LeaseSpec().holderIdentity("").leaseDurationSeconds(1).leaseTransitions(0));
    }

    /**
     * What matters here of a pod in JSON. Decoding all of it ({@code V1Pod}) would load every class of pod specs, which takes a fifth of
     * the time from the start to the own label, and memory for the specs of the whole group.
     */
    private record PartialPod(V1ObjectMeta metadata, State status) {
        record State(String phase, List<Condition> conditions) {}

        record Condition(String type, String status) {}
    }

    /** A collection at one version. */
    private record ListResponse<T>(V1ListMeta metadata, List<T> items) {}

    private Pod decode(PartialPod pod) {
        V1ObjectMeta meta = pod.metadata();
        PartialPod.State status = pod.status() == null ? new PartialPod.State(null, List.of()) : pod.status();
        boolean ready = status.conditions() != null
                && status.conditions().stream().anyMatch(c -> "Ready".equals(c.type()) && "True".equals(c.status()));
        return new Pod(required(meta.getName()), required(meta.getUid()), required(meta.getResourceVersion()),
                value(meta.getLabels(), config.leadershipLabel()), value(meta.getLabels(), config.participationLabel()),
                value(meta.getAnnotations(), config.epochAnnotation()), ready, meta.getDeletionTimestamp() != null,
                Set.of("Succeeded", "Failed").contains(String.valueOf(status.phase())),
                meta.getCreationTimestamp() == null ? Instant.EPOCH : meta.getCreationTimestamp().toInstant(),
                value(meta.getAnnotations(), Config.DELETION_COST), value(meta.getAnnotations(), config.deletionCostAnnotation()),
                revision(meta.getLabels()));
    }

    /** The revision of a pod's template, as the controller of a Deployment, StatefulSet or DaemonSet labels it; null if none does. */
    private static String revision(Map<String, String> labels) {
        String ofReplicaSet = value(labels, "pod-template-hash");
        return ofReplicaSet != null ? ofReplicaSet : value(labels, "controller-revision-hash");
    }

    /** Rejects objects without a field that every object has, so that the elector never sees null. */
    private static String required(String value) {
        if (value == null) {
            throw new IllegalStateException("an object without name, uid or version");
        }
        return value;
    }

    private static String value(Map<String, String> map, String key) {
        return map == null ? null : map.get(key);
    }
}

// ==== Environment: which pod this is, where the API server is, and as whom to connect to it ===========================

/** The environment of the process, read once: its variables, kubeconfigs, and the service account of its pod. */
final class Environment {

    private final Map<String, String> variables;
    private final Path serviceAccount;
    private final Optional<Kubeconfig> kubeconfig;

    /** The environment of this process; IOException with one line if a kubeconfig is malformed. */
    static Environment ofProcess() throws IOException {
        return new Environment(System.getenv(), Path.of("/var/run/secrets/kubernetes.io/serviceaccount"));
    }

    /** An environment with these variables, and with the service account that is mounted in this folder; it need not exist. */
    Environment(Map<String, String> variables, Path serviceAccount) throws IOException {
        this.variables = variables;
        this.serviceAccount = serviceAccount;
        this.kubeconfig = Kubeconfig.read(variable("KUBECONFIG"), variable("HOME"));
    }

    private String variable(String name) {
        return variables.getOrDefault(name, "");
    }

    private boolean isInPod() {
        return Files.exists(serviceAccount.resolve("token"));
    }

    /** This pod's name: POD_NAME, outside a cluster else the host name; null if there is none. */
    String podName() {
        String name = variables.get("POD_NAME");
        try {
            return name != null || isInPod() ? name : InetAddress.getLocalHost().getHostName().toLowerCase(Locale.ROOT);
        } catch (UnknownHostException nameless) {
            return null;
        }
    }

    /** Uid of the pod of this name: POD_UID, else from the mounted token; null if neither names it. */
    String podUid(String pod) {
        try {
            return !variable("POD_UID").isEmpty() ? variable("POD_UID")
                    : podUidInToken(Files.readString(serviceAccount.resolve("token")), pod);
        } catch (IOException noToken) {
            return null;
        }
    }

    /**
     * Uid of the pod that a service account token is bound to; null unless that pod has this name. The signature is not checked, because
     * the kubelet mounted the token: who can replace it can also replace this program.
     */
    static String podUidInToken(String token, String pod) {
        record BoundObject(String name, String uid) {}
        record Kubernetes(BoundObject pod) {}
        record Payload(@SerializedName("kubernetes.io") Kubernetes kubernetes) {}
        try {
            String payload = new String(Base64.getUrlDecoder().decode(token.split("\\.")[1]), StandardCharsets.UTF_8);
            BoundObject bound = ((Payload) JSON.deserialize(payload, Payload.class)).kubernetes().pod();
            return bound.name().equals(pod) ? bound.uid() : null;
        } catch (RuntimeException unbound) {
            return null;
        }
    }

    /** This pod's namespace: POD_NAMESPACE, else the service account's, else that of the kubeconfig's context, else {@code default}. */
    String namespace() throws IOException {
        Path mounted = serviceAccount.resolve("namespace");
        return variables.containsKey("POD_NAMESPACE") ? variable("POD_NAMESPACE")
                : Files.exists(mounted) ? Files.readString(mounted).strip()
                : kubeconfig.map(Kubeconfig::namespace).filter(named -> !named.isEmpty()).orElse("default");
    }

    /** URL of the API server, without secrets. */
    String server() {
        return kubeconfig.map(Kubeconfig::server).orElseGet(this::serviceUrl);
    }

    /** By what the API server is found: kubeconfigs or the service account. */
    String source() {
        return kubeconfig.map(Kubeconfig::source).orElse("service account");
    }

    private String serviceUrl() {
        return new HttpUrl.Builder().scheme("https").host(variable("KUBERNETES_SERVICE_HOST"))
                .port(Integer.parseInt(variable("KUBERNETES_SERVICE_PORT"))).build().toString().replaceFirst("/$", "");
    }

    /**
     * A client, which has sent nothing yet. As kubectl does, it takes the kubeconfigs of KUBECONFIG, else the one in HOME, else the service
     * account. IOException with one line that names the variable, file or field at fault.
     */
    ApiClient connect() throws IOException {
        try {
            return kubeconfig.isPresent() ? kubeconfig.get().connect() : connectByServiceAccount();
        } catch (FileSystemException | RuntimeException | LinkageError unusable) {
            throw new IOException(source() + ": cannot connect: " + (unusable.getCause() == null ? unusable : unusable.getCause()));
        }
    }

    private ApiClient connectByServiceAccount() throws IOException {
        Path token = serviceAccount.resolve("token");
        if (!isInPod()) {
            throw new IOException("no kubeconfig: KUBECONFIG " + (variable("KUBECONFIG").isEmpty() ? "is not set, and $HOME/.kube/config"
                    : variable("KUBECONFIG")) + " is missing or empty; and no service account: no " + token);
        }
        for (String name : List.of("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT")) {
            if (variable(name).isEmpty()) {
                throw new IOException("service account: cannot connect: " + name + " is not set; set it, or set KUBECONFIG");
            }
        }
        return new ClientBuilder().setBasePath(serviceUrl())
                .setCertificateAuthority(Files.readAllBytes(serviceAccount.resolve("ca.crt")))
                .setAuthentication(new TokenFileAuthentication(token.toString())).build();
    }
}

/**
 * Kubeconfigs, merged as kubectl does: the first file that sets current-context decides, and of entries with one name the first counts.
 * client-java understands most of the fields; what it ignores is added to its client.
 */
final class Kubeconfig {

    private static final Set<String> PATHS = Set.of("certificate-authority", "client-certificate", "client-key", "tokenFile");

    private final String source;
    private final KubeConfig merged;
    private final Map<String, Object> cluster;
    private final Map<String, Object> user;

    /** Reads the files of KUBECONFIG, else the one in HOME; empty if all are missing or empty. IOException with one line. */
    static Optional<Kubeconfig> read(String named, String home) throws IOException {
        String paths = named.isEmpty() && !home.isEmpty() ? home + "/.kube/config" : named;
        KubeConfig merged = new KubeConfig(new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
        String current = null;
        for (String path : paths.split(File.pathSeparator)) {
            Path file = Path.of(path).toAbsolutePath();
            if (!path.isEmpty() && Files.exists(file) && Files.size(file) > 0) {
                KubeConfig one = load(file);
                collect("context", one.getContexts(), file, merged.getContexts());
                collect("cluster", one.getClusters(), file, merged.getClusters());
                collect("user", one.getUsers(), file, merged.getUsers());
                current = current == null || current.isEmpty() ? Objects.requireNonNullElse(one.getCurrentContext(), "") : current;
            }
        }
        return current == null ? Optional.empty()
                : Optional.of(new Kubeconfig((named.isEmpty() ? "kubeconfig " : "KUBECONFIG ") + paths, merged, current));
    }

    private static KubeConfig load(Path file) throws IOException {
        try (Reader reader = Files.newBufferedReader(file)) {
            return KubeConfig.loadKubeConfig(reader);
        } catch (IOException | RuntimeException unreadable) {
            // Not the parser's own message, which quotes the file, and with it secrets.
            throw new IOException("kubeconfig \"" + file + "\": cannot be read: " + (unreadable instanceof IOException ? unreadable
                    : unreadable instanceof MarkedYAMLException yaml ? "no YAML in line " + (yaml.getProblemMark().getLine() + 1)
                    : "it is no kubeconfig"));
        }
    }

    /** Relative paths start from the folder of their file; a command only if it has a slash. */
    private static void collect(String kind, List<Object> entries, Path file, List<Object> all) {
        for (Object entry : entries == null ? List.of() : entries) {
            Map<String, Object> fields = map(map(entry).get(kind));
            fields.replaceAll((field, value) -> PATHS.contains(field) && !"".equals(value) ? beside(file, value) : value);
            map(fields.get("exec")).computeIfPresent("command",
                    (field, value) -> value.toString().contains("/") ? beside(file, value) : value);
            fields.put("file", file);
            all.add(Map.of("name", map(entry).get("name"), kind, fields));
        }
    }

    private static String beside(Path file, Object relative) {
        return file.resolveSibling((String) relative).normalize().toString();
    }

    /** A mapping of the YAML; empty for null. */
    @SuppressWarnings("unchecked")
    static Map<String, Object> map(Object value) {
        return value == null ? new HashMap<>() : (Map<String, Object>) value;
    }

    /** A sequence of the YAML; empty for null. */
    static List<?> list(Object value) {
        return value == null ? List.of() : (List<?>) value;
    }

    private Kubeconfig(String source, KubeConfig merged, String current) throws IOException {
        this.source = source;
        this.merged = merged;
        if (current.isEmpty()) {
            throw new IOException(source + ": current-context is not set; set it by kubectl config use-context");
        }
        Map<String, Object> context = find("context", merged.getContexts(), current);
        this.cluster = find("cluster", merged.getClusters(), context.get("cluster"));
        this.user = context.get("user") == null ? new HashMap<>() : find("user", merged.getUsers(), context.get("user"));
        merged.setContext(current);
    }

    private Map<String, Object> find(String kind, List<Object> entries, Object name) throws IOException {
        return entries.stream().filter(entry -> map(entry).get("name").equals(name)).findFirst().map(entry -> map(map(entry).get(kind)))
                .orElseThrow(() -> new IOException("%s: %s \"%s\" does not exist".formatted(source, kind, name)));
    }

    /** The variable, if it is one, and the files. */
    String source() {
        return source;
    }

    /** URL of the API server, without secrets. */
    String server() {
        return String.valueOf(merged.getServer()).replaceFirst("//[^/@]*@", "//");
    }

    /** That of the current context; null or empty if it has none. */
    String namespace() {
        return merged.getNamespace();
    }

    /** To be called once. IOException with one line that names the field that cannot be used, and its file, or what client-java throws. */
    ApiClient connect() throws IOException {
        skipParameters();
        Object exec = user.remove("exec");
        Object tokenFile = user.remove("tokenFile");
        ApiClient client = ClientBuilder.kubeconfig(merged, Duration.ofMinutes(1)).build();
        if (tokenFile != null) {
            new TokenFileAuthentication(tokenFile.toString()).provide(client);
        }
        OkHttpClient.Builder http = client.getHttpClient().newBuilder();
        if (exec != null && tokenFile == null && user.get("token") == null) {
            if (!map(exec).keySet().containsAll(List.of("apiVersion", "command"))) {
                throw unusable(user, "exec", "apiVersion and command must be set");
            }
            http.addInterceptor(new ExecPlugin(map(exec), clusterInfo()));
        }
        Headers.Builder headers = new Headers.Builder();
        impersonate(headers);
        if (cluster.get("tls-server-name") instanceof String name) {
            // TLS takes the name from the URL; its look-up leads to the server all the same.
            HttpUrl server = HttpUrl.get(client.getBasePath());
            http.dns(any -> Dns.SYSTEM.lookup(server.host()));
            headers.add("Host", server.uri().getRawAuthority());
            client.setBasePath(server.newBuilder().host(name).build().toString().replaceFirst("/$", ""));
        }
        if (cluster.get("proxy-url") instanceof String url) {
            http.proxy(proxy(url));
        }
        Headers added = headers.build();
        http.addInterceptor(chain -> chain.proceed(chain.request().newBuilder()
                .headers(chain.request().headers().newBuilder().addAll(added).build()).build()));
        return client.setHttpClient(http.build());
    }

    /** client-java takes the parameters that openssl writes before a key for the key. */
    private void skipParameters() throws IOException {
        byte[] key = merged.getDataOrFileRelative(merged.getClientKeyData(), merged.getClientKeyFile());
        if (key != null) {
            String pem = new String(key, StandardCharsets.ISO_8859_1).replaceFirst("(?s).*-----END EC PARAMETERS-----", "");
            user.put("client-key-data", Base64.getEncoder().encodeToString(pem.getBytes(StandardCharsets.ISO_8859_1)));
        }
    }

    private void impersonate(Headers.Builder headers) throws IOException {
        if (user.get("as") == null && Stream.of("as-uid", "as-groups", "as-user-extra").anyMatch(user::containsKey)) {
            throw unusable(user, "as", "it is not set, but as-uid, as-groups or as-user-extra is");
        }
        user.forEach((field, value) -> {
            switch (field) {
                case "as" -> headers.add("Impersonate-User", value.toString());
                case "as-uid" -> headers.add("Impersonate-Uid", value.toString());
                case "as-groups" -> list(value).forEach(group -> headers.add("Impersonate-Group", group.toString()));
                case "as-user-extra" -> map(value).forEach((key, values) -> list(values).forEach(each ->
                        headers.add("Impersonate-Extra-" + URLEncoder.encode(key, StandardCharsets.UTF_8), each.toString())));
                default -> { }
            }
        });
    }

    private Proxy proxy(String text) throws IOException {
        URI url = URI.create(text);
        Proxy.Type type = Map.of("http", Proxy.Type.HTTP, "socks5", Proxy.Type.SOCKS).get(url.getScheme());
        if (type == null || url.getPort() < 0 || url.getUserInfo() != null) {
            throw unusable(cluster, "proxy-url", "it must be http://host:port or socks5://host:port");
        }
        if (cluster.containsKey("tls-server-name")) {
            throw unusable(cluster, "tls-server-name", "it cannot be joined with proxy-url");
        }
        return new Proxy(type, InetSocketAddress.createUnresolved(url.getHost(), url.getPort()));
    }

    private static IOException unusable(Map<String, Object> entry, String field, String why) {
        return new IOException("kubeconfig \"%s\": cannot use %s: %s".formatted(entry.get("file"), field, why));
    }

    /** What a plugin may learn about the cluster: its entry, with certificates instead of their file. */
    private Map<String, Object> clusterInfo() throws IOException {
        Map<String, Object> info = new HashMap<>(cluster);
        info.keySet().removeAll(List.of("file", "certificate-authority", "extensions"));
        byte[] authority = merged.getDataOrFileRelative(merged.getCertificateAuthorityData(), merged.getCertificateAuthorityFile());
        info.put("certificate-authority-data", authority == null ? null : Base64.getEncoder().encodeToString(authority));
        list(cluster.get("extensions")).stream().filter(extension -> "client.authentication.k8s.io/exec".equals(map(extension).get("name")))
                .forEach(extension -> info.put("config", map(extension).get("extension")));
        return info;
    }
}

/**
 * The token of a kubeconfig's exec plugin, which is run again before the token expires, and after a 401. It runs in the background: a
 * request waits for it only if there is no valid token, so a plugin that hangs does not stop the leader from renewing.
 */
final class ExecPlugin implements Interceptor {

    /** How long one run may take. */
    private static final Duration LIMIT = Duration.ofSeconds(15);
    /** Between the beginnings of two runs, at least. */
    private static final Duration PAUSE = Duration.ofSeconds(5);
    /** This long before it expires a token is due, or in the last fifth of its life if that is shorter. */
    private static final Duration MARGIN = Duration.ofMinutes(1);
    private static final Token NONE = new Token("", Instant.MIN, Instant.MIN);
    private static final Executor THREADS = task -> Thread.ofVirtual().name("exec plugin").start(task);

    private final String title;
    private final ProcessBuilder program;
    /** The one to send, {@link #NONE} if the server refuses it; guarded by this, as are the next. */
    private Token token = NONE;
    /** The latest run, perhaps under way still; when it began, by {@link System#nanoTime}. */
    private CompletableFuture<Token> run;
    private long ranAt;
    /** Why the latest run that ended brought no token; null if it did. */
    private volatile String problem;

    private record Token(String value, Instant due, Instant expiry) {}

    /** What the program prints. */
    private record Answer(Status status) {
        record Status(String token, OffsetDateTime expirationTimestamp) {}
    }

    /** Runs it for the first time. {@code exec} is the field of the user, {@code cluster} what the plugin may learn if so configured. */
    ExecPlugin(Map<String, Object> exec, Map<String, Object> cluster) {
        this.title = "exec plugin \"" + exec.get("command") + "\"";
        this.program = new ProcessBuilder(Stream.concat(Stream.of(exec.get("command")), Kubeconfig.list(exec.get("args")).stream())
                .map(Object::toString).toList());
        Kubeconfig.list(exec.get("env")).stream().map(Kubeconfig::map).forEach(variable ->
                program.environment().put(variable.get("name").toString(), variable.get("value").toString()));
        Map<String, Object> spec = Boolean.TRUE.equals(exec.get("provideClusterInfo")) ? Map.of("interactive", false, "cluster", cluster)
                : Map.of("interactive", false);
        program.environment().put("KUBERNETES_EXEC_INFO",
                JSON.serialize(Map.of("apiVersion", exec.get("apiVersion"), "kind", "ExecCredential", "spec", spec)));
        begin();
        run.exceptionally(failed -> NONE).join();
    }

    private synchronized void begin() {
        ranAt = System.nanoTime();
        run = CompletableFuture.supplyAsync(this::take, THREADS);
    }

    @Override
    public Response intercept(Chain chain) throws IOException {
        Token used = token(chain.call(), null);
        Response response = chain.proceed(with(used, chain.request()));
        if (response.code() != 401) {
            return response;
        }
        Response refusal = response.newBuilder().body(response.peekBody(Long.MAX_VALUE)).build();
        response.close();
        Token next = token(chain.call(), used);
        return next == used ? refusal : chain.proceed(with(next, chain.request()));
    }

    private static Request with(Token token, Request request) {
        return request.newBuilder().header("Authorization", "Bearer " + token.value()).build();
    }

    /** A token that is valid and not {@code refused} (null for none); but that, too, until the plugin may run again. */
    private Token token(Call call, Token refused) throws IOException {
        CompletableFuture<Token> awaited;
        synchronized (this) {
            token = token == refused ? NONE : token;
            if (Instant.now().isAfter(token.due()) && run.isDone() && System.nanoTime() - ranAt > PAUSE.toNanos()) {
                begin();
            }
            if (Instant.now().isBefore(token.expiry())) {
                return token;
            }
            awaited = run;
        }
        try {
            // Half of what the call may take, so that there is time for the request.
            long limit = call.timeout().timeoutNanos() / 2;
            return awaited.get(limit > 0 ? limit : LIMIT.toNanos(), TimeUnit.NANOSECONDS);
        } catch (ExecutionException failed) {
            throw new IOException(failed.getCause().getMessage());
        } catch (TimeoutException | InterruptedException slow) {
            throw new IOException(Objects.requireNonNullElse(problem, title + ": no answer yet"));
        }
    }

    private Token take() {
        try {
            Token taken = parse(execute());
            synchronized (this) {
                token = taken;
                problem = null;
            }
            return taken;
        } catch (IOException | RuntimeException | InterruptedException failed) {
            synchronized (this) {
                if (Instant.now().isBefore(token.expiry()) && problem == null) {
                    Sidecar.LOG.warn("{}: {}; trying again, the token is valid until {}", title, failed.getMessage(), token.expiry());
                }
                problem = title + ": " + failed.getMessage();
            }
            throw new IllegalStateException(problem);
        }
    }

    private String execute() throws IOException, InterruptedException {
        Process process = program.start();
        try {
            process.getOutputStream().close();
            CompletableFuture<String> printed = text(process.inputReader());
            CompletableFuture<String> errors = text(process.errorReader());
            if (!process.waitFor(LIMIT.toNanos(), TimeUnit.NANOSECONDS)) {
                throw new IOException("no answer within " + Config.show(LIMIT));
            }
            if (process.exitValue() != 0) {
                throw new IOException("exit code %d: %.500s".formatted(process.exitValue(), errors.join()));
            }
            return printed.join();
        } finally {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
        }
    }

    /** Read in the background, because a process blocks when the pipe for its output is full. */
    private static CompletableFuture<String> text(BufferedReader reader) {
        return CompletableFuture.supplyAsync(() -> reader.lines().collect(Collectors.joining(" ")), THREADS)
                .completeOnTimeout("", LIMIT.toNanos(), TimeUnit.NANOSECONDS);
    }

    private static Token parse(String printed) throws IOException {
        try {
            Answer.Status status = ((Answer) JSON.deserialize(printed, Answer.class)).status();
            String value = Objects.requireNonNull(status.token());
            if (status.expirationTimestamp() == null) {
                return new Token(value, Instant.MAX, Instant.MAX);
            }
            Instant expiry = status.expirationTimestamp().toInstant();
            Duration fifth = Duration.between(Instant.now(), expiry).dividedBy(5);
            return new Token(value, expiry.minus(fifth.compareTo(MARGIN) < 0 ? fifth : MARGIN), expiry);
        } catch (RuntimeException other) {
            // Not what it printed, because that may be secret.
            throw new IOException("it printed no ExecCredential with a token");
        }
    }
}

// ==== What people, probes and the application see =====================================================================

/**
 * One access to the API.
 *
 * @param group API group, {@code ""} for the core
 * @param name null where no object is meant, or it does not exist yet
 */
record RequiredAccess(String verb, String group, String resource, String name) {

    static RequiredAccess toLease(String verb, Config config) {
        return new RequiredAccess(verb, "coordination.k8s.io", "leases", verb.equals("create") ? null : config.leaseName());
    }

    /** {@code name} is null for all pods. */
    static RequiredAccess toPods(String verb, String name) {
        return new RequiredAccess(verb, "", "pods", name);
    }

    static RequiredAccess toEvents(String verb) {
        return new RequiredAccess(verb, "", "events", null);
    }

    /** The same with another verb. */
    RequiredAccess to(String other) {
        return new RequiredAccess(other, group, resource, name);
    }

    /** Verb and resource. */
    String kind() {
        return verb + " " + resource + (group.isEmpty() ? "" : "." + group);
    }

    @Override
    public String toString() {
        return kind() + (name == null ? "" : "/" + name);
    }
}

/** The permissions that the program needs: whether they are there, and what to apply where they are not. */
final class PermissionCheck {

    private PermissionCheck() {}

    private static List<RequiredAccess> needed(Config config) {
        return Stream.of(Stream.of("create", "get", "update", "list", "watch").map(verb -> RequiredAccess.toLease(verb, config)),
                        Stream.of("get", "list", "watch", "patch").map(verb -> RequiredAccess.toPods(verb, null)),
                        Stream.of("create", "patch").map(RequiredAccess::toEvents))
                .flatMap(Function.identity()).toList();
    }

    /**
     * Prints the connection, the own pod, one line per permission, and what to apply; returns the exit code. IOException with one line if
     * the API server fails.
     */
    static int print(Config config, Kubernetes kubernetes, PrintStream out) throws IOException {
        boolean complete = true;
        try {
            boolean podExists = kubernetes.podExists();
            out.printf("%-8sconnected to %s%n", "ok", kubernetes.connection());
            if (System.getProperty("org.graalvm.nativeimage.imagecode") != null && System.getenv("JAVA_TOOL_OPTIONS") != null) {
                out.printf("%-8sJAVA_TOOL_OPTIONS (a native executable does not read it; give -Xmx as an argument)%n", "ignored");
            }
            out.printf("%-8spod %s/%s%s%n", podExists ? "ok" : "missing", config.namespace(), config.pod(),
                    podExists ? "" : " (does not exist, or this user may not read it)");
            for (RequiredAccess access : needed(config)) {
                boolean allowed = kubernetes.isAllowed(access);
                complete &= allowed;
                out.printf("%-8s%s%n", allowed ? "ok" : "missing", access);
            }
            if (complete) {
                printPreferredLeader(config, kubernetes, out);
            } else {
                out.printf("---%n%s", role(config, kubernetes.user()));
            }
            return complete && podExists ? LeaderLabeler.OK : LeaderLabeler.CHECK_FAILED;
        } catch (ApiException | RuntimeException failure) {
            throw new IOException(kubernetes.problem(failure));
        }
    }

    /** The Lease may name a preferred leader. What keeps that pod from leading is reported, but is not an error. */
    private static void printPreferredLeader(Config config, Kubernetes kubernetes, PrintStream out) {
        String preferred = kubernetes.send(new Effect.GetLease(0)) instanceof Reply.LeaseReply read ? read.lease().preferred() : "";
        if (preferred.isEmpty()) {
            return;
        }
        Pod pod = kubernetes.send(new Effect.GetPod(0, preferred, null)) instanceof Reply.PodReply read ? read.pod() : null;
        String obstacle = pod == null ? "no such pod" : !pod.hasAllKeys() ? "no participant" : !pod.isAlive() ? "it is about to end"
                : !pod.ready() ? "not Ready" : null;
        out.printf(obstacle == null ? "%-8spreferred leader %s%n" : "%-8spreferred leader %s (%s)%n", obstacle == null ? "ok" : "ignored",
                preferred, obstacle);
    }

    /** Role and RoleBinding for {@code user}, a user name as the API server knows it, as YAML to apply. */
    static String role(Config config, String user) {
        String[] account = user.split(":");
        String subject = account.length == 4 && user.startsWith("system:serviceaccount:")
                ? "{kind: ServiceAccount, name: \"%s\", namespace: \"%s\"}".formatted(account[3], account[2])
                : "{kind: User, name: %s, apiGroup: rbac.authorization.k8s.io}".formatted(JSON.serialize(user));
        return """
                apiVersion: rbac.authorization.k8s.io/v1
                kind: Role
                metadata: {name: "leader-labeler-%1$s", namespace: "%2$s"}
                rules:
                - {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
                - {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: ["%3$s"], verbs: [get, update, list, watch]}
                - {apiGroups: [""], resources: [pods], verbs: [get, list, watch, patch]}
                - {apiGroups: [""], resources: [events], verbs: [create, patch]}
                ---
                apiVersion: rbac.authorization.k8s.io/v1
                kind: RoleBinding
                metadata: {name: "leader-labeler-%1$s", namespace: "%2$s"}
                roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: "leader-labeler-%1$s"}
                subjects: [%4$s]
                """.formatted(config.election(), config.namespace(), config.leaseName(), subject);
    }
}

/**
 * A file that tells the application in the same pod who leads: {@code {"leader":true,"epoch":"…","name":"…"}}, always whole. No file
 * means that this pod does not lead: it is removed where it cannot be written, and at the end, after which it is not written any more. Safe
 * from any thread.
 */
final class RoleFile implements AutoCloseable {

    private final Path path;
    private final Path temporary;
    /** What the file says; null if it may be missing. */
    private Content written;
    private boolean failing;
    private boolean closed;

    /** Writes the first content, that this pod does not lead; IOException with one line if the path cannot be written. */
    RoleFile(Path path) throws IOException {
        this.path = path;
        this.temporary = path.resolveSibling("." + path.getFileName() + ".new");
        if (path.getFileName() == null || path.getFileName().toString().isEmpty() || Files.isDirectory(path)) {
            throw new IOException("--role-file: \"" + path + "\" must name a file");
        }
        try {
            replace(new Content(false, "0", ""));
        } catch (IOException unwritable) {
            remove();
            throw new IOException("--role-file: cannot write \"" + path + "\": " + unwritable + "; choose a path that can be written");
        }
    }

    /**
     * Writes the state if it differs from what the file says. A frozen process cannot update the file: applications that must detect this
     * compare epochs.
     */
    synchronized void write(Status status) {
        if (closed) {
            return;
        }
        try {
            replace(new Content(status.leading(), status.epoch(), status.leader()));
            failing = false;
        } catch (IOException unwritable) {
            if (!failing) {
                Sidecar.LOG.error("--role-file: cannot write \"{}\": {}; without it, this pod does not lead"
                        + " for its application", path, unwritable.toString());
            }
            failing = true;
            remove();
        }
    }

    private record Content(boolean leader, String epoch, String name) {}

    private void replace(Content content) throws IOException {
        if (content.equals(written)) {
            return;
        }
        try {
            Files.writeString(temporary, JSON.serialize(content) + "\n");
            Files.move(temporary, path, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
            written = content;
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    /** Removes the file for good. */
    @Override
    public synchronized void close() {
        closed = true;
        remove();
    }

    private void remove() {
        written = null;
        try {
            Files.deleteIfExists(path);
        } catch (IOException remains) {
            Sidecar.LOG.error("--role-file: cannot remove \"{}\": {}; remove it", path, remains.toString());
        }
    }
}

/** State, probes and metrics over HTTP, for reading only. Serves the last published state and never waits for the elector. */
final class HttpEndpoint implements AutoCloseable {

    /**
     * A thread for each request, because an untrusted client may hold one for seconds. It is virtual where a blocked read does not pin its
     * carrier (JEP 491), since the election's requests run on those, too.
     */
    private static final ThreadFactory THREADS =
            (Runtime.version().feature() < 24 ? Thread.ofPlatform() : Thread.ofVirtual()).name("http").factory();
    /** Open connections, of up to 40 KB of heap each: as many as fit into a 24 MiB heap. */
    private static final int MAX_CONNECTIONS = 300;
    /** Connections that wait to be accepted: a probe that finds the queue full is sent again only after a second. */
    private static final int BACKLOG = 500;
    /** Before each request: leaves the processor to the election, and still lets a full backlog pass within a probe's second. */
    private static final Duration ACCEPT_DELAY = Duration.ofMillis(1);
    private static final Pattern ADDRESS = Pattern.compile("(\\[[0-9a-fA-F:.]+]|[^:]*):(\\d{1,5})");

    private final Config config;
    private final Sidecar sidecar;
    private final Kubernetes kubernetes;
    private final HttpServer server;
    private final ExecutorService workers = Executors.newThreadPerTaskExecutor(THREADS);

    /** Reads {@code [HOST]:PORT}, null for {@code off}; throws IllegalArgumentException whose message names the flag. */
    static InetSocketAddress parse(String text) {
        if (text.equals("off")) {
            return null;
        }
        Matcher parts = ADDRESS.matcher(text);
        Config.rule("--http-address", text, parts.matches() && Integer.parseInt(parts.group(2)) <= 65535,
                "must be [HOST]:PORT, such as :4040 or [::1]:4040, or off");
        int port = Integer.parseInt(parts.group(2));
        return parts.group(1).isEmpty() ? new InetSocketAddress(port) : new InetSocketAddress(parts.group(1), port);
    }

    /** Listens at once; IOException with one line if the address cannot be had. */
    HttpEndpoint(InetSocketAddress address, Config config, Sidecar sidecar, Kubernetes kubernetes) throws IOException {
        setServerLimits();
        this.config = config;
        this.sidecar = sidecar;
        this.kubernetes = kubernetes;
        try {
            this.server = HttpServer.create(address, BACKLOG, "/", this::handle);
        } catch (IOException busy) {
            throw new IOException("--http-address: cannot listen on \"" + show(address) + "\": " + busy.getMessage()
                    + "; choose another port or \"off\"");
        }
        server.setExecutor(this::dispatch);
        server.start();
    }

    /** Called on the one thread that accepts: while it pauses, clients queue in the kernel, where they cost the election nothing. */
    private void dispatch(Runnable exchange) {
        LockSupport.parkNanos(ACCEPT_DELAY.toNanos());
        workers.execute(exchange);
    }

    /**
     * Bounds what untrusted clients can tie up. The JDK's server reads these properties of the whole JVM once: counts, seconds, bytes, and
     * milliseconds for the clock.
     */
    private static void setServerLimits() {
        System.setProperty("jdk.httpserver.maxConnections", String.valueOf(MAX_CONNECTIONS));
        System.setProperty("sun.net.httpserver.idleInterval", "5");
        System.setProperty("sun.net.httpserver.clockTick", "1000");
        System.setProperty("sun.net.httpserver.maxReqTime", "2");
        System.setProperty("sun.net.httpserver.maxRspTime", "5");
        System.setProperty("sun.net.httpserver.maxReqHeaders", "50");
        System.setProperty("sun.net.httpserver.maxReqHeaderSize", "8192");
    }

    /** Where it listens, as the flag writes it; with the port that was found where the flag left the choice (0). */
    String address() {
        return show(server.getAddress());
    }

    private static String show(InetSocketAddress address) {
        boolean everywhere = address.getAddress() != null && address.getAddress().isAnyLocalAddress();
        return (everywhere ? "" : address.getHostString()) + ":" + address.getPort();
    }

    private record HttpResponse(int code, String type, String body) {
        static HttpResponse text(int code, String body) {
            return new HttpResponse(code, "text/plain; charset=utf-8", body + "\n");
        }
    }

    private void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            boolean head = exchange.getRequestMethod().equals("HEAD");
            HttpResponse answer = head || exchange.getRequestMethod().equals("GET") ? answer(exchange.getRequestURI().getPath())
                    : HttpResponse.text(405, "only GET and HEAD");
            byte[] body = answer.body().getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().set("Content-Type", answer.type());
            exchange.getResponseHeaders().set("Connection", "close"); // else a client that never reads fills buffers in the kernel
            if (answer.code() == 405) {
                exchange.getResponseHeaders().set("Allow", "GET, HEAD");
            }
            if (head) {
                exchange.getResponseHeaders().set("Content-Length", Integer.toString(body.length));
                exchange.sendResponseHeaders(answer.code(), -1);
            } else {
                exchange.sendResponseHeaders(answer.code(), body.length);
                exchange.getResponseBody().write(body);
            }
        }
    }

    private HttpResponse answer(String path) {
        Status status = sidecar.status();
        boolean leading = status != null && status.isLeading(sidecar.now());
        return switch (path) {
            case "/" -> new HttpResponse(200, "application/json", state(status, leading));
            case "/leader" -> HttpResponse.text(leading ? 200 : 503, leading ? "leader" : "not leader");
            case "/healthz" -> sidecar.isStuck() ? HttpResponse.text(503, "stuck") : HttpResponse.text(200, "ok");
            case "/readyz" -> status != null && status.registered() ? HttpResponse.text(200, "ok")
                    : HttpResponse.text(503, "own labels not written");
            case "/metrics" -> new HttpResponse(200, "text/plain; version=0.0.4; charset=utf-8", metrics(status, leading));
            default -> HttpResponse.text(404, "not found");
        };
    }

    /** What {@code GET /} shows, without what is null. */
    private record State(String name, String self, boolean leader, String epoch, String since, List<String> participants,
            String preferred) {}

    private String state(Status status, boolean leading) {
        State state = status == null ? new State("", config.pod(), false, "0", null, null, null)
                : new State(status.leader(), status.self(), leading, leading ? status.epoch() : "0",
                        status.since() == null ? null : status.since().toString(), status.participants(),
                        status.preferred().isEmpty() ? null : status.preferred());
        return JSON.serialize(state) + "\n";
    }

    private String metrics(Status status, boolean leading) {
        StringBuilder out = new StringBuilder();
        family(out, "leader_election_master_status", "gauge", "Whether this pod leads.",
                Map.of("name=\"" + config.leaseName() + "\"", leading ? 1 : 0));
        if (status != null) {
            Statistics statistics = status.statistics();
            gauge(out, "epoch", "Fencing token of this pod's leadership, 0 while it does not lead.",
                    Long.parseLong(leading ? status.epoch() : "0"));
            gauge(out, "preferred", "Whether the Lease names this pod as its preferred leader.",
                    status.preferred().equals(status.self()) ? 1 : 0);
            counter(out, "transitions", "Changes of the Lease's holder seen.", Map.of("", statistics.transitions()));
            gauge(out, "lease_age_seconds", "Time since the Lease was last seen to change.", secondsSince(statistics.leaseChangedAt()));
            gauge(out, "renewal_age_seconds", "Time since this pod's last renewal, NaN before the first.",
                    secondsSince(statistics.renewedAt()));
            gauge(out, "last_handover_seconds", "Seconds from a free Lease to this pod's label, last time.", statistics.handover() / 1e9);
            gauge(out, "last_takeover_seconds", "Seconds from an expired Lease, or a holder that is gone, to this pod's label, last time.",
                    statistics.takeover() / 1e9);
            counter(out, "label_patches", "Pod writes by result.", statistics.patches().entrySet().stream()
                    .collect(Collectors.toMap(e -> "result=\"" + e.getKey() + "\"", Map.Entry::getValue)));
            counter(out, "drift_healed", "Pod writes that undid the change of another program.", Map.of("", statistics.healed()));
        }
        counter(out, "api_requests", "Requests to the API server.", kubernetes.requests().entrySet().stream()
                .collect(Collectors.toMap(e -> "verb=\"%s\",resource=\"%s\",code=\"%s\"".formatted(e.getKey().verb(), e.getKey().resource(),
                        e.getKey().code()), e -> e.getValue().sum())));
        return out.toString();
    }

    private double secondsSince(long time) {
        return time == 0 ? Double.NaN : (sidecar.now() - time) / 1e9;
    }

    private static void gauge(StringBuilder out, String name, String help, Number value) {
        family(out, "leader_labeler_" + name, "gauge", help, Map.of("", value));
    }

    private static void counter(StringBuilder out, String name, String help, Map<String, ? extends Number> samples) {
        family(out, "leader_labeler_" + name + "_total", "counter", help, samples);
    }

    private static void family(StringBuilder out, String name, String type, String help, Map<String, ? extends Number> samples) {
        out.append("# HELP ").append(name).append(' ').append(help).append("\n# TYPE ").append(name).append(' ').append(type).append('\n');
        new TreeMap<>(samples).forEach((labels, value) ->
                out.append(name).append(labels.isEmpty() ? "" : "{" + labels + "}").append(' ').append(value).append('\n'));
    }

    /** Stops listening. */
    @Override
    public void close() {
        server.stop(0);
        workers.shutdownNow();
    }
}
