/** What can go wrong in a simulated schedule. A schedule has only some of these, so that each is also seen without the others' noise. */
enum Fault {

    // Requests: each meets its fate by chance.
    /** It takes up to some seconds, and so may be overtaken or time out. */
    SLOW,
    /** It times out while it is in flight, and is executed much later. */
    LATE,
    /** It never arrives. */
    LOST_REQUEST,
    /** It is executed, but the answer never arrives. */
    LOST_REPLY,
    /** The connection breaks at once, and yet it is executed a little later. */
    RESET,
    /** An error, executed or not, perhaps with a Retry-After. */
    SERVER_ERROR,
    /** A load balancer asks for an hour of patience. */
    RETRY_AFTER,
    /** A read is answered as things were, but the answer arrives after news: also a 404, after the object was seen. */
    GET_STALE,
    /** The worker that sends it gets no CPU for a while, before or after it looked at the time. */
    STARVED,

    // Processes and their clocks.
    /** SIGKILL; the container is started again in the same pod. */
    CRASH,
    /** SIGKILL for good: the pod stays, perhaps Ready, but nobody is at home. */
    SIDECAR_DEAD,
    /** SIGSTOP, later SIGCONT. */
    FREEZE,
    /** SIGTERM to a container whose pod stays. */
    SIGTERM,
    /** A second sidecar runs for the same pod for a while, or for good: somebody tries it out under that name. */
    SECOND_PROCESS,
    /** Monotonic clocks run at different rates, but differ less than lease-duration / renew-deadline. */
    CLOCK_RATES,
    /** Wall clocks are wrong by hours, and are set. */
    WALL_CLOCKS,

    // Watches.
    /** Events arrive late. */
    WATCH_LAG,
    /** A watch ends, what was on its way is lost, and a new list follows. */
    WATCH_BROKEN,
    /** The connection is half-open: it delivers nothing until somebody begins anew. */
    WATCH_SILENT,
    /** Watching is impossible for one sidecar, which polls instead. */
    NO_WATCH,

    // The API server.
    /** Nobody reaches it. */
    OUTAGE,
    /** One sidecar does not reach it. */
    PARTITION,
    /** Patches to one pod are refused, while others may change that pod. */
    PATCH_REFUSED,
    /** Another controller writes to pods ten times a second, and every request takes 50 ms. */
    BUSY_POD,
    /** An admission webhook changes what a sidecar writes to a pod: 200, but not what was asked for. */
    POD_WRITES_REWRITTEN,
    /** An admission webhook changes what sidecars write to the Lease, or it is refused, for one of them or for all. */
    LEASE_WEBHOOK,
    /** etcd is restored from a backup: objects and resourceVersions go back. */
    ETCD_RESTORED,

    // Pods.
    /** Graceful deletion. */
    POD_DELETED,
    /** Removed from the API server at once while the process goes on, and replaced. */
    POD_FORCED,
    /** The same under the same name. */
    POD_REPLACED,
    /** Phase Failed or Succeeded, while the process goes on. */
    POD_FINISHED,
    /** Pods become not Ready and Ready again. */
    POD_UNREADY,
    /** At the end everybody is told to go, and nobody starts again. */
    WIND_DOWN,
    /** The template changes now and then: pods that are created later are of a newer revision. */
    ROLLING_UPDATE,
    /** The pod template already has some of the keys. */
    TEMPLATE_KEYS,
    /** Somebody removes one of our keys. */
    KEY_STRIPPED,
    /** Somebody removes several of our keys at once. */
    KEYS_STRIPPED,
    /** Somebody writes another value, but not {@code true} for the leadership label. */
    KEY_FORGED,
    /** An operator undoes each write of our labels. */
    LABELS_UNDONE,
    /** Somebody writes {@code true}: I1 does not hold then, but the rest must, and the right state must come back. */
    FOREIGN_TRUE,
    /** Pods of another election have the same leadership label. */
    SHARED_LABEL,

    // The Lease.
    LEASE_DELETED,
    /** Its holder is emptied. */
    LEASE_EMPTIED,
    /** Its holder is replaced by somebody who does not exist. */
    LEASE_STRANGER,
    /** The duration becomes 10^6 s, one second or none. */
    LEASE_DURATION,
    LEASE_ACQUIRE_TIME,
    /** Our annotation is removed. */
    LEASE_CLAIM_REMOVED,
    /** Our annotation names somebody else. */
    LEASE_CLAIM_FORGED,
    /** Somebody writes back what it said some writes ago. */
    LEASE_RESTORED,
    /** Something on it changes that is none of our business, once or more often than lease-duration. */
    LEASE_TOUCHED,
    /** A janitor deletes it, or empties its holder, again and again. */
    LEASE_JANITOR,
    /** Its number of transitions becomes the largest that it can record. */
    TRANSITIONS_MAX,
    /** A program that uses client-go takes part under the same Lease. */
    CLIENT_GO,

    /** Its annotation names the pod that is to lead, or one that does not exist, or none any more. */
    LEADER_PREFERRED,

    /** Not a fault but a condition: the members have different settings, as while a rolling update changes flags. */
    MIXED_SETTINGS,
    /** Not a fault either: a hundred members. It takes long, so a schedule has it only when asked to. */
    LARGE_GROUP
}
