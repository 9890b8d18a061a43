"Communication patterns, as macros: each expands to copies, narrowings and packs that can be written by hand."

(defmacro move [roles expr]
  "`(move [A B] e)`: send A's value to B, where the result is. The same as `(A->B e)`."
  `(narrow [~(get roles 1)] (copy ~roles ~expr)))

(defmacro bcast [roles expr]
  "`(bcast [A B C …] e)`: A shares its value with all the others; the result is at all of them."
  (setv source (get roles 0)
        result expr)
  (for [target (cut roles 1 None)]
    (setv result `(copy [~source ~target] ~result)))
  result)

(defmacro scatter [roles #* exprs]
  "`(scatter [A B C …] eb ec …)`: A sends one value to each of the others; a tuple of what they receive."
  (setv source (get roles 0)
        targets (list (cut roles 1 None)))
  (when (!= (len targets) (len exprs))
    (raise (ValueError f"scatter sends one value to each receiver: {(len targets)} receivers, {(len exprs)} values")))
  `(pack ~@(lfor [target expr] (zip targets exprs) `(narrow [~target] (copy [~source ~target] ~expr)))))

(defmacro scatter-seq [roles expr]
  "`(scatter-seq [A B C …] e)`: A holds a sequence and sends its elements to the others, in order; a tuple."
  (setv source (get roles 0)
        targets (list (cut roles 1 None))
        whole (hy.gensym "whole"))
  `(let [~whole ~expr]
     (pack ~@(lfor [i target] (enumerate targets)
                   `(narrow [~target] (copy [~source ~target] (~source (get ~whole ~i))))))))

(defmacro gather [roles #* exprs]
  "`(gather [A B C …] eb ec …)`: A receives one value from each of the others; a list of them at A."
  (setv target (get roles 0)
        sources (list (cut roles 1 None)))
  (when (!= (len sources) (len exprs))
    (raise (ValueError f"gather receives one value from each sender: {(len sources)} senders, {(len exprs)} values")))
  `(~target [~@(lfor [source expr] (zip sources exprs) `(narrow [~target] (copy [~source ~target] ~expr)))]))
