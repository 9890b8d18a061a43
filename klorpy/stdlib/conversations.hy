"The words of conversations for Hy: `(require klorpy.stdlib.conversations *)`.

A handler sees `event` and `state`. In the forms of a presence or an absence, `conversation` is the topic that the two
endpoints have in common, `peer` the token of the other one, and `reason` why it is gone. In topics, `_` is the wildcard."

(import klorpy [KlorError])

(defn with-wildcards [form]
  "A form in which every `_` is the wildcard."
  (cond
    (= form '_) 'hy.I.klorpy/conversations.ANY
    (isinstance form #(hy.models.Expression hy.models.List hy.models.Tuple))
    ((type form) (map with-wildcards form))
    True form))

(defn keywords-and-rest [forms allowed usage]
  "The options `:name form` at the start of `forms`, and what comes after them."
  (setv options {}
        rest (list forms))
  (while (and rest (isinstance (get rest 0) hy.models.Keyword))
    (setv name (. (get rest 0) name))
    (when (or (not-in name allowed) (< (len rest) 2) (in name options))
      (raise (KlorError f"`:{name}` is not expected here" :slug "arity" :help f"write {usage}")))
    (setv (get options name) (get rest 1)
          rest (cut rest 2 None)))
  #(options rest))

(defn handler [body #* bindings]
  "A function of an event and the state."
  `(fn [event state]
     (let [~@bindings] ~body)))

(defmacro role [name plays #* forms]
  "`(role name (subscriber topic) :on-presence action :on-absence action [pattern action …] …)`: take part.

Each clause has a pattern, as of `match`, and forms for the messages that fit; the last form is the answer. The first
clause that fits counts; a message that fits none is ignored."
  (setv usage "(role name (subscriber topic) :on-presence form :on-absence form [pattern form …] …)"
        [options clauses] (keywords-and-rest forms #{"on-presence" "on-absence"} usage))
  (for [clause clauses]
    (when (not (and (isinstance clause hy.models.List) (>= (len clause) 2)))
      (raise (KlorError "a clause is a vector of a pattern and forms" :slug "arity" :help f"write {usage}"))))
  (setv arguments [])
  (when (in "on-presence" options)
    (+= arguments [':on-presence (handler (get options "on-presence") 'conversation 'event.role.topic 'peer 'event.peer)]))
  (when (in "on-absence" options)
    (+= arguments [':on-absence (handler (get options "on-absence")
                                         'conversation 'event.role.topic 'peer 'event.peer 'reason 'event.reason)]))
  (when clauses
    (+= arguments [':on-message
                   `(fn [event state]
                      (match event.body
                        ~@(sum (lfor clause clauses [(get clause 0) `(do ~@(cut clause 1 None))]) [])))]))
  `(hy.I.klorpy/conversations.role ~name ~(with-wildcards plays) ~@arguments))

(defmacro spawn [#* forms]
  "`(spawn :name name :endpoints [role …] form …)`: start a process, with the answer that one form gives, or with the actions
of several."
  (setv usage "(spawn :name name :then function :endpoints [role …] form …)"
        [options body] (keywords-and-rest forms #{"name" "then" "failed" "endpoints" "invariant"} usage))
  `(hy.I.klorpy/conversations.spawn (fn [] ~(if (= (len body) 1) (get body 0) `[~@body]))
                                    ~@(sum (lfor [key form] (.items options) [(hy.models.Keyword key) form]) [])))

(defmacro nested-vm [#* forms]
  "`(nested-vm :name name form …)`: start a VM, in which one process begins with the actions of all the forms."
  (setv usage "(nested-vm :name name form …)"
        [options body] (keywords-and-rest forms #{"name" "messages"} usage))
  `(hy.I.klorpy/conversations.nested-vm (fn [] [~@body])
                                        ~@(sum (lfor [key form] (.items options) [(hy.models.Keyword key) form]) [])))

(defmacro ground-vm [#* forms]
  "`(ground-vm :clock clock form …)`: run a program, whose first process begins with the actions of all the forms."
  (setv usage "(ground-vm :clock clock form …)"
        [options body] (keywords-and-rest forms #{"clock"} usage))
  `(hy.I.klorpy/conversations.ground-vm (fn [] [~@body]) ~@(if (in "clock" options) [(get options "clock")] [])))

(defmacro topic [form]
  "`(topic #(\"chat\" _))`: a topic, in which `_` is the wildcard."
  (with-wildcards form))
