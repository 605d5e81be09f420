"""Plots of the built-in stories that turn on a small sum.

Standard library only; `stories.py` explains the notation. Numbers start at two, so that every noun
behind one is a plural.
"""

SUMS_PLOTS = {
    "gather": """
        cast: when hero pick add
        - {When} {A} and {B} went to {place} to look for {items}. / {When} {A} and {B} took a
          {holder} to {place} to look for {items}.
        - {A} found {x} {items}, and {B} found {y}. / {A} found {x} {items}. {B} looked a bit longer
          and found {y}.
        - They put all the {items} in the {holder}. / Soon all the {items} were in the {holder}.
        - "How many are there?" asked {B}. "{X} and {y} make {sum}," said {A}. / "Let me count,"
          said {A}. "{X} and {y} make {sum}."
        - "Yes, {sum} {items}!" said {B}. / {B} counted them too, and there were {sum} {items}.
        - They were proud of their {sum} {items}. / They carried the {holder} home between them,
          singing a song about {items}.
        """,
    "goat": """
        cast: when hero subtract
        let thief, part = goat; beard | pony; head | donkey; ears
        - {When} {A} carried {x} carrots home in a basket. / {When} {A} had {x} carrots in a basket.
        - {He} put the basket down and went to talk to {B}. / {He} met {B}, put the basket down, and
          talked for a while.
        - A {thief} came by and put its head in the basket. Crunch, crunch! / Behind {his} back a
          {thief} came by. Crunch, crunch!
        - "Stop!" cried {A}, but {y} carrots were gone. / When {A} turned round, {y} carrots were
          gone.
        - "{X} take away {y} leaves {rest}," said {B}. / "How many are left?" asked {B}. "{X} take
          away {y} leaves {rest}," said {A}.
        - So there were {rest} carrots for supper, and one happy {thief}. / {A} carried the {rest}
          carrots home, and the {thief} came too. / The {thief} shook its {part} and looked at the
          other {rest} carrots.
        - "Next time ask me first," {A} told the {thief}. / "You could have asked," said {A} to the
          {thief}.
        """,
    "stall": """
        cast: when hero stall subtract
        - {When} {A} went to the market with {x} coins to buy a {item}. / {When} {A} took {x} coins
          to the market, for {he} wanted a {item}.
        - "How much is the {item}?" {he} asked {seller}. "{Y} coins," said {seller}. / "Good day,"
          said {A} to {seller}. "How much is the {item}?" "{Y} coins," said {seller}.
        - {A} put {y} coins on the table, one by one. / {A} counted {y} coins into {seller}'s hand.
        - "{X} take away {y} leaves {rest}," said {A}. / "How many coins are left?" asked {seller}.
          "{X} take away {y} leaves {rest}," said {A}.
        - "You count well," said {seller}. / "Nobody can cheat you," said {seller}.
        - {A} walked home with the {item} and {rest} coins, and felt rich. / {A} kept the other
          {rest} coins for a rainy day.
        """,
    "candles": """
        cast: when hero add
        - {When} {E} made a birthday cake for {A}, who was {sum} years old. / Today {A} was {sum}
          years old, and {E} made a birthday cake.
        - "We need {sum} candles," said {A}. / "How many candles do you need?" asked {E}. "{Sum},"
          said {A}.
        - But in the drawer {E} found only {x} candles. / They looked in the drawer, and there were
          {x} candles.
        - "{X} and {y} make {sum}," said {A}. "We need {y} more." / "{X} and {y} make {sum}," said
          {E}. "We need {y} more."
        - So they ran to the shop and bought {y} candles. / The woman next door gave them {y}
          candles.
        - Then the cake was full of light, and {A} made a wish. / {A} blew out all {sum} candles
          with one breath.
        - "What did you wish for?" asked {E}. "More cake," said {A}. / "Now I feel {sum}," said {A}.
        """,
    "soup": """
        cast: when beasts add
        let thing, things = mushroom; mushrooms | potato; potatoes | onion; onions
        - {When} {A} the {kind} had {x} {things}, and {B} the {bkind} had {y}. / {When} {A} the
          {kind} found {x} {things}, and {B} the {bkind} found {y}.
        - "Let us make {thing} soup," said {B}. / "Shall we make {thing} soup?" asked {B}. "Yes, a
          big pot of it," said {A}.
        - "{X} and {y} make {sum}," said {A}, and put all the {things} in a pot. / They put all the
          {things} in a pot. "{X} and {y} make {sum}," said {B}.
        - {A} stirred the {thing} soup, and {B} looked for the spoons. / The {thing} soup smelled so
          good that the birds came down to look.
        - It was the best soup in the whole wood. / They ate soup until their ears were warm.
        - "{Sum} {things} are better than {x}," said {A}. / They saved a bowl of soup for the snail,
          who never finds anything.
        """,
}
