"""What is shown: all of one figure or table in one object, in the file or folder of its section.

Sections of the paper
    section_1_4   the six cells drawn as boxes and wires
    section_2_1   Figures 1, 2a, 2b and App.1, the linear model, later cells, the number of inputs
    section_2_2   Figure 2c, and what a step costs
    section_3     Figure 3
    section_4     Figures 4 and 5, Tables 1, App.1 and App.2
    section_5     weights of few bits, and bits per parameter elsewhere
    appendix_a    the search: how far it has come, against random search, what matters
    appendix_b    one example of each task
    gradients     what cells do over time, before any training
    audit         the paper's tables, read closely
    cell_report   a cell of one's own beside the six

What they share
    base          what an exhibit is made of, and how to add one
    selection, best_trials, budget       which trials, the best of each network, what stands behind
    statistics                           intervals and tests
    finding, judge, convergence, chances, verdicts   rules, who judges by them, and how often they err
    style, overlays, captions            how a figure looks and what is written below it
    gallery, account, conclusions        files, what has been drawn already, facts and claims in words
"""
