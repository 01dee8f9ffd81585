import io.kubernetes.client.openapi.ApiException;
import io.kubernetes.client.openapi.apis.CoordinationV1Api;
import io.kubernetes.client.openapi.models.V1Lease;
import io.kubernetes.client.openapi.models.V1LeaseSpec;
import io.kubernetes.client.openapi.models.V1ObjectMeta;
import java.time.Duration;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.time.temporal.ChronoUnit;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/**
 * A program that elects by client-go (v0.34), as far as others see it: the same requests at the same times with the same Leases. It polls;
 * renews by PUT on the version that it wrote last, and looks it up by GET when that fails; keeps annotations that it finds; and does not
 * label or fence anybody.
 */
final class GoLeader implements AutoCloseable {

    private static final double JITTER_FACTOR = 1.2;

    private final CoordinationV1Api leases;
    private final String namespace;
    private final String name;
    private final String identity;
    private final Duration leaseDuration;
    private final Duration retryPeriod;
    private final Thread thread;
    /** The Lease as client-go's lock remembers it: as it was last read or written. */
    private V1Lease lease;
    private V1LeaseSpec observed = new V1LeaseSpec();
    private long observedAt;
    private volatile boolean leading;
    private volatile boolean cancelled;
    private volatile boolean crashed;

    /**
     * Starts to compete for the Lease.
     *
     * @param identity what it calls itself, a pod name or anything else
     */
    GoLeader(TestServer server, String namespace, String lease, String identity, Duration leaseDuration, Duration retryPeriod) {
        this.leases = new CoordinationV1Api(server.client());
        this.namespace = namespace;
        this.name = lease;
        this.identity = identity;
        this.leaseDuration = leaseDuration;
        this.retryPeriod = retryPeriod;
        this.thread = Thread.ofVirtual().name("client-go as " + identity).start(this::run);
    }

    /** Whether it leads, as far as it knows. */
    boolean isLeading() {
        return leading;
    }

    /** Cancels its context with ReleaseOnCancel; returns when the Lease is released. */
    void release() {
        cancelled = true;
        end();
    }

    /** Ends it without a release; returns when it sends nothing any more. */
    void crash() {
        crashed = true;
        end();
    }

    private void end() {
        thread.interrupt();
        try {
            thread.join();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    @Override
    public void close() {
        crash();
    }

    // --- As in leaderelection.go ---------------------------------------------------------------------------------------

    private void run() {
        while (!isDone()) {
            boolean acquired = tryAcquireOrRenew();
            leading = acquired || isLeader();
            double factor = leading ? 1 : 1 + JITTER_FACTOR * Math.random();
            pause(Duration.ofNanos((long) (retryPeriod.toNanos() * factor)));
        }
        leading = false;
        if (!crashed && isLeader()) {
            update(record("", 1, now(), observed.getLeaseTransitions()));
        }
    }

    private boolean isDone() {
        return crashed || cancelled;
    }

    private void pause(Duration time) {
        try {
            if (!isDone()) {
                TimeUnit.NANOSECONDS.sleep(time.toNanos());
            }
        } catch (InterruptedException ended) {
            // the loop sees why
        }
    }

    private boolean tryAcquireOrRenew() {
        OffsetDateTime now = now();
        int seconds = (int) leaseDuration.toSeconds();
        if (isLeader() && isLeaseValid() && update(record(identity, seconds, observed.getAcquireTime(), observed.getLeaseTransitions()))) {
            return true;
        }
        Optional<V1Lease> found = get();
        if (found.isEmpty()) {
            return create(record(identity, seconds, now, 0));
        }
        lease = found.get();
        V1LeaseSpec old = lease.getSpec();
        if (!Objects.equals(old, observed)) {
            observe(old);
        }
        String holder = Objects.requireNonNullElse(old.getHolderIdentity(), "");
        if (!holder.isEmpty() && isLeaseValid() && !isLeader()) {
            return false;
        }
        int transitions = Objects.requireNonNullElse(old.getLeaseTransitions(), 0);
        return update(isLeader() ? record(identity, seconds, old.getAcquireTime(), transitions)
                : record(identity, seconds, now, transitions + 1));
    }

    private boolean isLeader() {
        return identity.equals(observed.getHolderIdentity());
    }

    private boolean isLeaseValid() {
        long recorded = Objects.requireNonNullElse(observed.getLeaseDurationSeconds(), 0);
        return System.nanoTime() - observedAt < TimeUnit.SECONDS.toNanos(recorded);
    }

    private void observe(V1LeaseSpec spec) {
        observed = spec;
        observedAt = System.nanoTime();
    }

    private static OffsetDateTime now() {
        return OffsetDateTime.now(ZoneOffset.UTC).truncatedTo(ChronoUnit.MICROS);
    }

    /** All five fields are always written, an empty holder included. */
    private static V1LeaseSpec record(String holder, int seconds, OffsetDateTime acquired, Integer transitions) {
        return new V1LeaseSpec().holderIdentity(holder).leaseDurationSeconds(seconds).acquireTime(acquired).renewTime(now())
                .leaseTransitions(transitions);
    }

    // --- As in leaselock.go --------------------------------------------------------------------------------------------

    private Optional<V1Lease> get() {
        try {
            return Optional.of(leases.readNamespacedLease(name, namespace).execute());
        } catch (ApiException e) {
            if (e.getCode() == 404) {
                return Optional.empty();
            }
            throw new AssertionError("GET lease: HTTP " + e.getCode() + " " + e.getResponseBody(), e);
        }
    }

    private boolean create(V1LeaseSpec spec) {
        try {
            lease = leases.createNamespacedLease(namespace, new V1Lease().metadata(new V1ObjectMeta().name(name)).spec(spec)).execute();
            observe(spec);
            return true;
        } catch (ApiException e) {
            return false;
        }
    }

    /** PUT of the whole object as it was read, with its version, uid and annotations: only the spec is replaced. */
    private boolean update(V1LeaseSpec spec) {
        lease.setSpec(spec);
        try {
            lease = leases.replaceNamespacedLease(name, namespace, lease).execute();
            observe(spec);
            return true;
        } catch (ApiException e) {
            return false;
        }
    }
}
