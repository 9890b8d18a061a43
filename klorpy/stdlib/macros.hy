"Communication patterns, as macros: each expands to copies, narrowings and packs that can be written by hand."

(import klorpy [KlorError])

(defn roles-of [form usage [least 2]]
  "The roles of a vector of at least `least` symbols; anything else is a KlorError that shows the usage."
  (when (not (and (isinstance form hy.models.List)
                  (>= (len form) least)
                  (all (gfor role form (isinstance role hy.models.Symbol)))))
    (raise (KlorError f"wrong arguments for `{(get (.split (cut usage 1 None)) 0)}`" :slug "arity" :help f"write {usage}")))
  (list form))

(defn paired [roles exprs usage]
  "Each role but the first with its expression; another number of expressions is a KlorError."
  (when (!= (- (len roles) 1) (len exprs))
    (raise (KlorError f"{(- (len roles) 1)} other roles, but {(len exprs)} expressions" :slug "arity" :help f"write {usage}")))
  (zip (cut roles 1 None) exprs :strict True))

(defmacro move [roles #* exprs]
  "`(move [A B] e)`: send A's value to B, where the result is. The same as `(A->B e)`."
  (setv usage "(move [Sender Receiver] expr)"
        names (roles-of roles usage))
  (when (or (!= (len names) 2) (!= (len exprs) 1))
    (roles-of None usage))
  `(narrow [~(get names 1)] (copy ~roles ~(get exprs 0))))

(defmacro bcast [roles #* exprs]
  "`(bcast [A B C …] e)`: A shares its value with all the others; the result is at all of them."
  (setv usage "(bcast [Sender Receiver …] expr)"
        names (roles-of roles usage))
  (when (!= (len exprs) 1)
    (roles-of None usage))
  (setv result (get exprs 0))
  (for [target (cut names 1 None)]
    (setv result `(copy [~(get names 0) ~target] ~result)))
  result)

(defmacro scatter [roles #* exprs]
  "`(scatter [A B C …] eb ec …)`: A sends one value to each of the others; a tuple of what they receive."
  (setv usage "(scatter [Sender Receiver …] expr-for-receiver …)"
        names (roles-of roles usage)
        source (get names 0))
  `(pack ~@(lfor [target expr] (paired names exprs usage)
                 `(narrow [~target] (copy [~source ~target] ~expr)))))

(defmacro scatter-seq [roles #* exprs]
  "`(scatter-seq [A B C …] e)`: A holds a sequence and sends its elements to the others, in order; a tuple."
  (setv usage "(scatter-seq [Sender Receiver …] sequence)"
        names (roles-of roles usage)
        source (get names 0)
        whole (hy.gensym "whole"))
  (when (!= (len exprs) 1)
    (roles-of None usage))
  `(let [~whole ~(get exprs 0)]
     (pack ~@(lfor [i target] (enumerate (cut names 1 None))
                   `(narrow [~target] (copy [~source ~target] (~source (get ~whole ~i))))))))

(defmacro gather [roles #* exprs]
  "`(gather [A B C …] eb ec …)`: A receives one value from each of the others; a list of them at A."
  (setv usage "(gather [Receiver Sender …] expr-of-sender …)"
        names (roles-of roles usage)
        target (get names 0))
  `(~target [~@(lfor [source expr] (paired names exprs usage)
                     `(narrow [~target] (copy [~source ~target] ~expr)))]))
